// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The API server of these tests has neither controllers nor kubelets, so nothing runs. The crew writes what operator,
// agents, controllers and kubelets would write, step by step.

const systemNamespace = "underlay-system"

// typed is a client that knows our types.
func (s *stage) typed(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, appsv1.AddToScheme, coordinationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(s.config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually repeats what fails until the API server has what it needs.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := do()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// lackCNI makes the kubelets wait for a CNI plugin, as on a new cluster.
func (s *stage) lackCNI(t *testing.T) {
	t.Helper()
	s.nodeReady(t, corev1.ConditionFalse, "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "+
		"message:Network plugin returns error: cni plugin not initialized")
}

func (s *stage) nodeReady(t *testing.T, status corev1.ConditionStatus, message string) {
	t.Helper()
	c := s.typed(t)
	for _, name := range []string{"master", "worker1"} {
		eventually(t, func() error {
			var node corev1.Node
			if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &node); err != nil {
				return err
			}
			node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, Reason: "Kubelet", Message: message}}
			return c.Status().Update(t.Context(), &node)
		})
	}
}

// pod creates a pod of operator or agents and gives it a status.
func (s *stage) pod(t *testing.T, name, component, node string, status corev1.PodStatus) {
	t.Helper()
	c := s.typed(t)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: name, Labels: map[string]string{
			"app.kubernetes.io/name": "underlay", "app.kubernetes.io/component": component,
		}},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: component, Image: "example/underlay:v1"}}},
	}
	eventually(t, func() error {
		if err := client.IgnoreNotFound(c.Delete(t.Context(), pod.DeepCopy(), client.GracePeriodSeconds(0))); err != nil {
			return err
		}
		return c.Create(t.Context(), pod)
	})
	pod.Status = status
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
}

func running() corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
}

func waiting(reason, message string) corev1.PodStatus {
	return corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "main", Image: "example/underlay:v1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}}}
}

// operatorRuns makes both replicas available, one of them the leader.
func (s *stage) operatorRuns(t *testing.T) {
	t.Helper()
	c := s.typed(t)
	s.operatorStatus(t, appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2})
	s.pod(t, "underlay-operator-a", "operator", "master", running())
	s.pod(t, "underlay-operator-b", "operator", "worker1", running())
	holder := "master_0c4e1f5a"
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "underlay-operator"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
	if err := c.Create(t.Context(), lease); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

func (s *stage) operatorStatus(t *testing.T, status appsv1.DeploymentStatus) {
	t.Helper()
	c := s.typed(t)
	eventually(t, func() error {
		var d appsv1.Deployment
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "underlay-operator"}, &d); err != nil {
			return err
		}
		d.Status = status
		d.Status.ObservedGeneration = d.Generation
		return c.Status().Update(t.Context(), &d)
	})
}

// operatorDerives makes pools and the networks' status, by the plan of what the cluster and the cloud hold.
func (s *stage) operatorDerives(t *testing.T) {
	t.Helper()
	c := s.typed(t)
	eventually(t, func() error {
		var networks v1alpha1.UnderlayNetworkList
		if err := c.List(t.Context(), &networks); err != nil {
			return err
		}
		if len(networks.Items) == 0 {
			return errNoNetworks
		}
		inventory, err := document.ReadInventory("inventory", strings.NewReader(must(t, 0, "inspect -o yaml").stdout))
		if err != nil {
			return err
		}
		p, _ := plan.For(plan.Inputs{Inventory: inventory, Networks: networks.Items})
		for _, object := range (plan.Plan{Pools: p.Pools}).Objects() {
			if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("underlay"), client.ForceOwnership); err != nil {
				return err
			}
		}
		for _, pool := range p.Pools {
			if err := s.count(t, c, pool.Name, 0); err != nil {
				return err
			}
		}
		for i := range networks.Items {
			s.networkReady(t, networks.Items[i].Name, metav1.ConditionTrue, "PoolsInSync", "")
		}
		return nil
	})
}

// count writes a pool's status, as the operator sums it up.
func (s *stage) count(t *testing.T, c client.Client, name string, allocated int64) error {
	t.Helper()
	var pool v1alpha1.UnderlayPool
	if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &pool); err != nil {
		return err
	}
	var capacity int64
	for _, text := range pool.Spec.Ranges {
		r, err := iprange.Parse(string(text))
		if err != nil {
			return err
		}
		capacity += r.Size()
	}
	pool.Status = v1alpha1.UnderlayPoolStatus{Usage: v1alpha1.Usage{Capacity: capacity, Allocated: allocated, Available: capacity - allocated}}
	return c.Status().Update(t.Context(), &pool)
}

const errNoNetworks = testError("no networks yet")

type testError string

func (e testError) Error() string { return string(e) }

func (s *stage) networkReady(t *testing.T, name string, status metav1.ConditionStatus, reason, message string) {
	t.Helper()
	c := s.typed(t)
	eventually(t, func() error {
		var n v1alpha1.UnderlayNetwork
		if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &n); err != nil {
			return err
		}
		meta.SetStatusCondition(&n.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: message, ObservedGeneration: n.Generation})
		return c.Status().Update(t.Context(), &n)
	})
}

// agentsRun starts an agent on each node.
func (s *stage) agentsRun(t *testing.T) {
	t.Helper()
	c := s.typed(t)
	eventually(t, func() error {
		var d appsv1.DaemonSet
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "underlay-agent"}, &d); err != nil {
			return err
		}
		d.Status = appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, NumberReady: 2, UpdatedNumberScheduled: 2,
			NumberAvailable: 2, ObservedGeneration: d.Generation}
		return c.Status().Update(t.Context(), &d)
	})
	for _, node := range []string{"master", "worker1"} {
		s.pod(t, "underlay-agent-"+node, "agent", node, running())
	}
}

// agentsReport lets the agents take over the pools that exist, but for those named.
func (s *stage) agentsReport(t *testing.T, except ...string) {
	t.Helper()
	c := s.typed(t)
	var pools v1alpha1.UnderlayPoolList
	if err := c.List(t.Context(), &pools); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"master", "worker1"} {
		status := v1alpha1.UnderlayNodeStatus{AgentVersion: "v1",
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "NodeFileValid", LastTransitionTime: metav1.Now()}}}
		for _, pool := range pools.Items {
			if pool.Spec.NodeName == node && !slices.Contains(except, pool.Name) {
				status.Pools = append(status.Pools, v1alpha1.NodePool{Name: pool.Name, ObservedGeneration: pool.Generation})
			}
		}
		s.report(t, node, status)
	}
}

// report writes the UnderlayNode of a node.
func (s *stage) report(t *testing.T, node string, status v1alpha1.UnderlayNodeStatus) {
	t.Helper()
	c := s.typed(t)
	eventually(t, func() error {
		report := &v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: node}}
		if err := c.Create(t.Context(), report); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(report), report); err != nil {
			return err
		}
		report.Status = status
		return c.Status().Update(t.Context(), report)
	})
}

// installed has everything in place, as init leaves it.
func (s *stage) installed(t *testing.T) {
	t.Helper()
	must(t, 0, "init --yes --wait=false")
	s.operatorRuns(t)
	s.operatorDerives(t)
	s.agentsRun(t)
	s.agentsReport(t)
}

// background runs a command line while the test goes on, and gives its result.
func background(t *testing.T, line string) func() result {
	t.Helper()
	done := make(chan result, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() { done <- (shell{}).run(ctx, strings.Fields(line)...) }()
	return func() result {
		t.Helper()
		select {
		case r := <-done:
			return r
		case <-time.After(2 * time.Minute):
			t.Fatalf("%s does not end", line)
			return result{}
		}
	}
}

// clearInstall removes what earlier tests installed, but for permissions, CRDs and namespace.
func (s *stage) clearInstall(t *testing.T) {
	t.Helper()
	s.clearWorkloads(t)
	c := s.typed(t)
	if err := c.DeleteAllOf(t.Context(), &v1alpha1.UnderlayNode{}); err != nil && !meta.IsNoMatchError(err) && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	for _, network := range s.list(t, underlayKind("UnderlayNetwork")) {
		network.SetFinalizers(nil)
		if err := s.client.Update(t.Context(), &network); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

// clearWorkloads removes operator and agents, with their pods.
func (s *stage) clearWorkloads(t *testing.T) {
	t.Helper()
	c := s.typed(t)
	in := client.InNamespace(systemNamespace)
	for _, object := range []client.Object{&appsv1.Deployment{}, &appsv1.DaemonSet{}, &coordinationv1.Lease{}, &corev1.Pod{}} {
		if err := c.DeleteAllOf(t.Context(), object, in, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
}

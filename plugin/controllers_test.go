// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// controllers do what uninstall needs of those of a real cluster, until the test ends: an emptied namespace goes, and so
// do the pods of a workload that is gone; and what agents and operator do when networks go, if they are there.
func (s *stage) controllers(t *testing.T, crew bool) {
	t.Helper()
	c := s.typed(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			s.collect(ctx, c)
			if crew {
				s.crewLetsGo(ctx, c)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
}

// collect is garbage collector, pod and namespace controller; what fails is tried again.
func (s *stage) collect(ctx context.Context, c client.Client) {
	for component, workload := range map[string]client.Object{"operator": &appsv1.Deployment{}, "agent": &appsv1.DaemonSet{}} {
		err := c.Get(ctx, client.ObjectKey{Namespace: systemNamespace, Name: "underlay-" + component}, workload)
		if apierrors.IsNotFound(err) {
			_ = c.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(systemNamespace), client.GracePeriodSeconds(0),
				client.MatchingLabels{"app.kubernetes.io/component": component})
		}
	}
	var namespace corev1.Namespace
	if c.Get(ctx, client.ObjectKey{Name: systemNamespace}, &namespace) == nil && namespace.DeletionTimestamp != nil {
		namespace.Spec.Finalizers = nil
		_ = c.SubResource("finalize").Update(ctx, &namespace)
	}
}

// crewLetsGo: the operator removes the pools of a network that is being deleted, and its finalizer once none is left;
// the agents then take the CNI from their nodes.
func (s *stage) crewLetsGo(ctx context.Context, c client.Client) {
	var networks v1alpha1.UnderlayNetworkList
	var pools v1alpha1.UnderlayPoolList
	if c.List(ctx, &networks) != nil || c.List(ctx, &pools) != nil {
		return
	}
	for i := range networks.Items {
		n := &networks.Items[i]
		if n.DeletionTimestamp == nil {
			continue
		}
		left := 0
		for p := range pools.Items {
			if pools.Items[p].Spec.NetworkName == n.Name {
				left++
				_ = c.Delete(ctx, &pools.Items[p])
			}
		}
		if left == 0 {
			n.Finalizers = nil
			_ = c.Update(ctx, n)
		}
	}
	if len(pools.Items) > 0 {
		return
	}
	var reports v1alpha1.UnderlayNodeList
	if c.List(ctx, &reports) == nil {
		for i := range reports.Items {
			reports.Items[i].Status.Pools = nil
			meta.SetStatusCondition(&reports.Items[i].Status.Conditions, metav1.Condition{
				Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonVacant})
			_ = c.Status().Update(ctx, &reports.Items[i])
		}
	}
}

// finalizers puts the operator's finalizer on every network, as it does when it sees one.
func (s *stage) finalizers(t *testing.T) {
	t.Helper()
	c := s.typed(t)
	var networks v1alpha1.UnderlayNetworkList
	if err := c.List(t.Context(), &networks); err != nil {
		t.Fatal(err)
	}
	for i := range networks.Items {
		networks.Items[i].Finalizers = []string{"underlay.dev/network"}
		if err := c.Update(t.Context(), &networks.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
}

// userPod holds an address, as kubelet and Multus would tell.
func (s *stage) userPod(t *testing.T, name, node, ip string, secondary ...string) {
	t.Helper()
	c := s.typed(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	if len(secondary) > 0 {
		text, err := json.Marshal([]map[string]any{{"name": "other"}, {"name": "kube-system/ipvlan-eni0", "ips": secondary}})
		if err != nil {
			t.Fatal(err)
		}
		pod.Annotations = map[string]string{"k8s.v1.cni.cncf.io/network-status": string(text)}
	}
	eventually(t, func() error { return c.Create(t.Context(), pod) })
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	if err := c.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Delete(context.Background(), pod, client.GracePeriodSeconds(0))
	})
}

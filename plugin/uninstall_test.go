// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// leftovers are all objects in the cluster that init makes, as Kind/name.
func (s *stage) leftovers(t *testing.T) []string {
	t.Helper()
	kind := func(group, kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
	}
	const rbac, policies = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
	var out []string
	for _, gvk := range []schema.GroupVersionKind{
		kind("", "Namespace"), kind("", "ServiceAccount"), kind("", "Pod"), crdKind(), attachmentKind(), deploymentKind(),
		kind("apps", "DaemonSet"), kind(rbac, "ClusterRole"), kind(rbac, "ClusterRoleBinding"), kind(rbac, "Role"),
		kind(rbac, "RoleBinding"), kind(policies, "ValidatingAdmissionPolicy"), kind(policies, "ValidatingAdmissionPolicyBinding"),
	} {
		for _, name := range s.names(t, gvk) {
			if strings.Contains(name, "underlay") {
				out = append(out, gvk.Kind+"/"+name)
			}
		}
	}
	return out
}

// TestUninstall removes all that init has made, and has nothing to do the second time.
func TestUninstall(t *testing.T) {
	s := newFreshStage(t)
	s.installed(t)
	s.finalizers(t)
	s.controllers(t, true)
	dry := must(t, 0, "uninstall --dry-run=client")
	golden(t, "online-uninstall", dry.stdout)
	contains(t, dry.stderr, "Secret with credentials", "nothing was removed")
	contains(t, must(t, 2, "uninstall").stderr, "no terminal", "--yes")

	r := must(t, 0, "uninstall --yes")
	golden(t, "online-uninstall-steps", withoutTimes(r.stderr))
	contains(t, r.stderr, "until nodes boot again", "forwarding, rp_filter of lo, accept_ra of links")
	if left := s.leftovers(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	contains(t, must(t, 0, "uninstall --yes").stderr, "nothing is installed")
	contains(t, must(t, 0, "status").stdout, "Neither operator nor agents are installed", "No networks found")

	must(t, 0, "init --yes --wait=false") // and back
}

// TestUninstallKeepsCRDs, for whoever has them from elsewhere; their objects go.
func TestUninstallKeepsCRDs(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.controllers(t, true)
	must(t, 0, "uninstall --yes --keep-crds")
	left := slices.DeleteFunc(s.leftovers(t), func(name string) bool { return strings.HasPrefix(name, "CustomResourceDefinition/") })
	if len(left) > 0 || len(s.names(t, underlayKind("UnderlayNode"))) > 0 || len(s.names(t, underlayKind("UnderlayPool"))) > 0 {
		t.Errorf("left: %v, or pools or reports", left)
	}
	if got := s.names(t, crdKind()); !slices.Contains(got, "underlaypools.underlay.dev") {
		t.Errorf("CRDs %v", got)
	}
}

// TestUninstallRefuses while pods hold addresses, and names them.
func TestUninstallRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T, *stage)
		want []string
	}{
		{
			"a pod's own address",
			func(t *testing.T, s *stage) { s.userPod(t, "web-1", "master", "172.31.28.17") },
			[]string{"1 pod holds addresses", "default/web-1 on master", "--force"},
		},
		{
			"a further interface, by Multus",
			func(t *testing.T, s *stage) {
				s.userPod(t, "web-2", "worker1", "10.244.0.9", "2406:da1e:c4:ed02:7a2e::5")
			},
			[]string{"default/web-2 on worker1"},
		},
		{
			"an agent's count",
			func(t *testing.T, s *stage) {
				s.report(t, "worker1", v1alpha1.UnderlayNodeStatus{Pools: []v1alpha1.NodePool{{Name: "eni0.0.v4.worker1", Allocated: 2, ObservedGeneration: 1}}})
			},
			[]string{"pods hold 2 addresses of these networks, on worker1"},
		},
		{
			"the operator's count, where no agent reports",
			func(t *testing.T, s *stage) {
				s.kubectl(t, "", "delete", "underlaynodes", "--all")
				setAllocated(t, s, "eni0.0.v4.master", 3)
			},
			[]string{"pods hold 3 addresses of these networks, on master"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.installed(t)
			c.make(t, s)
			r := must(t, 2, "uninstall --yes")
			contains(t, r.stderr, append(c.want, "nothing was removed")...)
			contains(t, must(t, 0, "uninstall --dry-run=client").stderr, c.want[0], "would refuse")
			if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 4 {
				t.Errorf("pools %v", got)
			}
		})
	}
}

// TestPodsElsewhereDoNotHinder: an address outside the pools, on another node, or of a pod that has ended.
func TestPodsElsewhereDoNotHinder(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.controllers(t, true)
	s.userPod(t, "host", "master", "172.31.18.11")
	s.userPod(t, "foreign", "worker1", "172.31.28.18") // in the other node's range: not from its pool
	s.userPod(t, "ended", "master", "172.31.28.19")
	c := s.typed(t)
	eventually(t, func() error {
		var pod corev1.Pod
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "ended"}, &pod); err != nil {
			return err
		}
		pod.Status.Phase = corev1.PodSucceeded
		return c.Status().Update(t.Context(), &pod)
	})
	must(t, 0, "uninstall --yes")
}

// TestUninstallByForce does not wait for ever for an operator that does not let go, nor for agents.
func TestUninstallByForce(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.finalizers(t)
	s.userPod(t, "web-1", "master", "172.31.28.17")
	s.controllers(t, false)
	s.operatorStatus(t, appsv1.DeploymentStatus{}) // it is down
	r := must(t, 0, "uninstall --yes --force --timeout 100s")
	contains(t, r.stderr, "1 network, without the operator", "left with the CNI: master, worker1")
	if left := s.leftovers(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestUninstallWithoutOperator: what init --no-operator has made, and what a removed operator has left.
func TestUninstallWithoutOperator(t *testing.T) {
	t.Run("init --no-operator", func(t *testing.T) {
		s := newStage(t)
		s.controllers(t, false)
		must(t, 0, initYes)
		contains(t, must(t, 0, "uninstall --yes").stderr, "left as it is: the cloud\n")
		if left := s.leftovers(t); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
	t.Run("operator and agents deleted by hand", func(t *testing.T) {
		s := newStage(t)
		s.installed(t)
		s.finalizers(t)
		s.clearWorkloads(t)
		s.controllers(t, false)
		contains(t, must(t, 0, "uninstall --yes").stderr, "without the operator")
		if left := s.leftovers(t); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// TestUninstallTimesOut names what is left, and a second run completes it.
func TestUninstallTimesOut(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.finalizers(t)
	r := must(t, 3, "uninstall --yes --timeout 1s") // the operator is there, but does nothing
	contains(t, r.stderr, "✗ networks", "1 object left: UnderlayNetwork eni0", "run the same command again")
	s.controllers(t, true)
	must(t, 0, "uninstall --yes")
	if left := s.leftovers(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestInitWhileNamespaceGoes: an uninstall that was cut short has left a namespace in which nothing can be made.
func TestInitWhileNamespaceGoes(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.clearWorkloads(t)
	s.kubectl(t, "", "delete", "namespace", systemNamespace, "--wait=false")
	r := must(t, 2, "init --yes --wait=false")
	contains(t, r.stderr, "being terminated", "wait until it is gone")
	s.controllers(t, true)
	must(t, 0, "uninstall --yes")
}

// TestUninstallSilentAgent: a node whose agent is gone keeps the CNI, which is said; nothing waits for it.
func TestUninstallSilentAgent(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.kubectl(t, "", "delete", "pod", "-n", systemNamespace, "underlay-agent-worker1", "--grace-period=0", "--force")
	s.controllers(t, false)
	s.report(t, "master", v1alpha1.UnderlayNodeStatus{Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonVacant, LastTransitionTime: metav1.Now()}}})
	contains(t, must(t, 0, "uninstall --yes").stderr, "left with the CNI, since no agent runs there: worker1")
}

// TestInterruptedUninstall says that it can be completed.
func TestInterruptedUninstall(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.finalizers(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan result, 1)
	go func() { done <- (shell{}).run(ctx, "uninstall", "--yes") }()
	eventually(t, func() error {
		if networks := s.list(t, underlayKind("UnderlayNetwork")); len(networks) == 1 && networks[0].GetDeletionTimestamp() != nil {
			return nil
		}
		return testError("not yet deleted")
	})
	cancel()
	r := <-done
	if r.code != 130 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, r.stderr, "interrupted", "run the same command again")
}

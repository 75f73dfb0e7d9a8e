// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/operator"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// expectAttachment waits until there is one with our label, or with another's config.
func (s *stage) expectAttachment(t *testing.T, says string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	eventually(t, func() error {
		found = s.attachment(t, "kube-system", "ipvlan-ens5")
		switch {
		case found == nil && says == "":
			return nil
		case found == nil || says == "":
			return fmt.Errorf("attachment is %v, want %q", found, says)
		}
		if text, _, _ := unstructured.NestedString(found.Object, "spec", "config"); text != says {
			return fmt.Errorf("attachment says %s, want %s", text, says)
		}
		return nil
	})
	return found
}

const ens5Config = `{"cniVersion":"1.0.0","cniVersions":["0.3.1","0.4.0","1.0.0","1.1.0"],"name":"ens5","type":"underlay","network":"ens5","capabilities":{"bandwidth":true}}`

func TestAttachmentIsMadeAgain(t *testing.T) {
	s := newStage(t)
	s.network(t, "ens5", 0)
	s.operate(t)
	made := s.expectAttachment(t, ens5Config)
	if err := s.client.Delete(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	s.expectAttachment(t, ens5Config)
	// Changed by hand, it becomes what it was.
	made = s.attachment(t, "kube-system", "ipvlan-ens5")
	if err := unstructured.SetNestedField(made.Object, "{}", "spec", "config"); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Update(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	s.expectAttachment(t, ens5Config)
}

// TestForeignAttachment is left alone until it is handed over.
func TestForeignAttachment(t *testing.T) {
	s := newStage(t)
	foreign := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"config": `{"type":"macvlan"}`}}}
	foreign.SetGroupVersionKind(attachmentKind())
	foreign.SetNamespace("kube-system")
	foreign.SetName("ipvlan-ens5")
	if err := s.client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	network := s.network(t, "ens5", 0)
	s.operate(t)
	c := s.expectCondition(t, network, v1alpha1.ConditionReady, "AttachmentForeign")
	contains(t, c.Message, "kube-system/ipvlan-ens5", "underlay.dev/adopt=true")
	s.expectAttachment(t, `{"type":"macvlan"}`)
	foreign.SetAnnotations(map[string]string{"underlay.dev/adopt": "true"})
	if err := s.client.Update(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	s.expectAttachment(t, ens5Config)
	s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady")
}

// TestMultusComesLater: attachments appear when their kind is served.
func TestMultusComesLater(t *testing.T) {
	s := stageOn(t, controlplane.ForTest(t, planeOptions()))
	network := s.network(t, "ens5", 0)
	s.operate(t)
	s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady")
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(controlplane.MultusCRD(), &crd.Object); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	s.expectAttachment(t, ens5Config)
}

// TestNetworkDeleted goes with its pools and attachment, but not while pods hold addresses.
func TestNetworkDeleted(t *testing.T) {
	s := newStage(t)
	network := s.network(t, "ens5", 0)
	s.operate(t)
	s.expectAttachment(t, ens5Config)
	p := s.expect(t, worker1Pool, first, "")
	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: p.Generation, Allocated: 2},
		v1alpha1.NodePool{Name: "ens5.0.v6.worker1", ObservedGeneration: p.Generation})
	s.report(t, "master")
	eventually(t, func() error {
		if got := s.pools(t)[worker1Pool].Status.Allocated; got != 2 {
			return fmt.Errorf("%d allocated", got)
		}
		return nil
	})
	if err := s.client.Delete(t.Context(), network); err != nil {
		t.Fatal(err)
	}
	c := s.expectCondition(t, network, v1alpha1.ConditionReady, "Deleting")
	contains(t, c.Message, "2 addresses on worker1")
	p = s.expect(t, worker1Pool, first, first)
	s.refreshes(t, 3)
	s.expectAttachment(t, ens5Config)

	s.report(t, "worker1", v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: p.Generation, Drained: []string{first}})
	s.expect(t, worker1Pool, "", "")
	s.expectAttachment(t, ens5Config) // others have not drained yet
	for name, p := range s.pools(t) {
		s.report(t, p.Spec.NodeName, reportOf(s.pools(t), p.Spec.NodeName)...)
		s.expect(t, name, "", "")
	}
	s.expectAttachment(t, "")
	eventually(t, func() error {
		if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(network), network); !apierrors.IsNotFound(err) {
			return fmt.Errorf("network %v, error %w", network.Finalizers, err)
		}
		return nil
	})
}

// reportOf says that all that drains is drained.
func reportOf(pools map[string]v1alpha1.UnderlayPool, node string) []v1alpha1.NodePool {
	var out []v1alpha1.NodePool
	for _, p := range pools {
		if p.Spec.NodeName == node {
			r := v1alpha1.NodePool{Name: p.Name, ObservedGeneration: p.Generation}
			for _, d := range p.Spec.Draining {
				r.Drained = append(r.Drained, string(d))
			}
			out = append(out, r)
		}
	}
	return out
}

// TestOverlap: of a derived pool and a manual one, the derived one wins, however young it is.
func TestOverlap(t *testing.T) {
	s := newStage(t)
	manual := s.network(t, "lab", 7, func(n *v1alpha1.UnderlayNetwork) { n.Spec.Provider = v1alpha1.ProviderManual })
	mine := pool("lab.worker1")
	mine.Spec = v1alpha1.UnderlayPoolSpec{NetworkName: "lab", NodeName: "worker1", IPFamily: v1alpha1.IPv4, Subnet: "172.31.32.0/24", Gateway: "172.31.32.1",
		Interface: v1alpha1.PoolInterface{MACAddress: "02:00:00:00:99:99", DeviceIndex: 7}, Ranges: []v1alpha1.Range{"172.31.32.180-172.31.32.200"}}
	if err := s.client.Create(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	s.operate(t)
	s.expectCondition(t, mine, v1alpha1.ConditionValid, "Usable")
	s.expectCondition(t, manual, v1alpha1.ConditionReady, "PoolsReady")
	s.network(t, "ens5", 0)
	c := s.expectCondition(t, mine, v1alpha1.ConditionValid, "Overlap")
	contains(t, c.Message, worker1Pool, "172.31.32.180-172.31.32.191")
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionValid, "Usable")
	s.expectEvent(t, mine.Name, "Overlap", worker1Pool)
	mine.Spec.Ranges = []v1alpha1.Range{"172.31.32.192-172.31.32.200"}
	if err := s.client.Update(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	s.expectCondition(t, mine, v1alpha1.ConditionValid, "Usable")
}

// TestNodeRecreated: the pool of the same machine gets its new owner; what the garbage collector takes away comes back.
func TestNodeRecreated(t *testing.T) {
	s := newStage(t)
	s.network(t, "ens5", 0)
	s.operate(t)
	s.expect(t, worker1Pool, first, "")
	if err := s.client.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker1"}}); err != nil {
		t.Fatal(err)
	}
	s.expectCondition(t, pool(worker1Pool), v1alpha1.ConditionInSync, "NodeGone")
	var again *corev1.Node
	for _, object := range controlplane.NodesOf(readWalkthrough(t)) {
		if object.GetName() == "worker1" {
			again, _ = object.(*corev1.Node)
		}
	}
	if err := s.client.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	owned := func() error {
		owners := s.pools(t)[worker1Pool].OwnerReferences
		if len(owners) != 1 || owners[0].UID != again.UID {
			return fmt.Errorf("owners %+v, want node %s", owners, again.UID)
		}
		return nil
	}
	eventually(t, owned)
	if err := s.client.Delete(t.Context(), pool(worker1Pool)); err != nil {
		t.Fatal(err)
	}
	eventually(t, owned)
}

// TestNewNode: its pools come at once, not with the next period.
func TestNewNode(t *testing.T) {
	s := newStage(t)
	s.network(t, "ens5", 0)
	s.operate(t, func(o *operator.Options) { o.Refresh = time.Hour })
	s.expect(t, worker1Pool, first, "")
	s.cloud.ForgetCalls()
	inventory := readWalkthrough(t)
	n := inventory.Nodes[1]
	n.Name, n.InstanceID, n.ProviderID = "worker2", "i-2", "aws:///ap-southeast-1b/i-2"
	nic := n.Interfaces[0]
	nic.ID, nic.MACAddress, nic.IPv4Prefixes, nic.IPv6Prefixes = "eni-22", "02:00:00:00:22:01", prefixList(second), nil
	nic.PrimaryIPv4 = nic.PrimaryIPv4.Next()
	n.InternalIPs, n.Interfaces = nil, []v1alpha1.Interface{nic}
	inventory.Nodes = []v1alpha1.Node{n}
	if err := s.client.Create(t.Context(), controlplane.NodesOf(inventory)[0]); err != nil {
		t.Fatal(err)
	}
	// EC2 shows it only when it has been asked about it before.
	eventually(t, func() error {
		if s.cloud.Counts()["DescribeInstances"] == 0 {
			return fmt.Errorf("EC2 was not asked")
		}
		return nil
	})
	if err := s.cloud.Update(func(w *ec2sim.World) error { return w.AddNode(n) }); err != nil {
		t.Fatal(err)
	}
	s.expect(t, "ens5.0.v4.worker2", second, "")
	for _, call := range s.cloud.Calls() {
		if call.Params.Get("Filter.1.Name") == "vpc-id" && call.Action != "DescribeVpcs" {
			t.Errorf("for one node all of its VPC was asked for: %v", call.Params)
		}
	}
}

// TestFindingsOfNetworks become conditions, with what to do.
func TestFindingsOfNetworks(t *testing.T) {
	s := newStage(t)
	nowhere := s.network(t, "nowhere", 0, func(n *v1alpha1.UnderlayNetwork) {
		n.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"no": "such"}}
	})
	unattached := s.network(t, "unattached", 3)
	s.operate(t)
	contains(t, s.expectCondition(t, nowhere, v1alpha1.ConditionReady, "NetworkWithoutNodes").Message, "nodeSelector", "label the nodes")
	contains(t, s.expectCondition(t, unattached, v1alpha1.ConditionReady, "NodeWithoutInterface").Message, "device index 3")
	s.expectEvent(t, "nowhere", "NetworkWithoutNodes")
}

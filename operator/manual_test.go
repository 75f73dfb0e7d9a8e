// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

const bareMetal = "../docs/examples/bare-metal.yaml"

// bareMetal adds the example's nodes, and applies what the plugin generates from it.
func (s *stage) bareMetal(t *testing.T) plan.Plan {
	t.Helper()
	inventory, err := document.OpenInventory(bareMetal)
	if err != nil {
		t.Fatal(err)
	}
	p, findings := plan.For(plan.Inputs{Inventory: inventory, Propose: true})
	if len(findings) > 0 {
		t.Fatalf("findings: %+v", findings)
	}
	for _, node := range controlplane.NodesOf(inventory) {
		if err := s.client.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	for _, object := range (plan.Plan{Networks: p.Networks, Pools: p.Pools}).Objects() {
		if err := s.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// TestBareMetal: pools that were generated are valid and stay as they are, whatever the cloud says; nothing is in sync or
// out of it.
func TestBareMetal(t *testing.T) {
	s := newStage(t)
	p := s.bareMetal(t)
	s.operate(t)
	for _, want := range p.Pools {
		live := pool(want.Name)
		s.expectCondition(t, live, v1alpha1.ConditionValid, "Usable")
		if len(live.Status.Conditions) != 1 || live.Status.Capacity == 0 || joined(live.Spec.Ranges) != joined(want.Spec.Ranges) {
			t.Errorf("pool %s: %+v", want.Name, live)
		}
	}
	network := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: "eth1"}}
	if c := s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady"); c.Message != "6 pools on 3 nodes" {
		t.Errorf("ready: %+v", c)
	}
	s.refreshes(t, 2)
	if got := len(s.pools(t)); got != 6 {
		t.Errorf("%d pools are left", got)
	}
}

// TestMistakesInPools become conditions that say what to do, and go when it is done.
func TestMistakesInPools(t *testing.T) {
	s := newStage(t)
	s.bareMetal(t)
	s.report(t, "rack1-b")
	report := &v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: "rack1-b"}}
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(report), report); err != nil {
		t.Fatal(err)
	}
	report.Status.Links = []v1alpha1.NodeLink{{Name: "eth1", MACAddress: "3c:fd:fe:00:0b:01"}}
	if err := s.client.Status().Update(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	s.network(t, "ens5", 0)
	elsewhere := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: "rack2"}, Spec: v1alpha1.UnderlayNetworkSpec{
		Provider: v1alpha1.ProviderManual, InterfaceSelector: v1alpha1.InterfaceSelector{Names: []string{"eth2"}},
		NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": "rack2-a"}}}}
	if err := s.client.Create(t.Context(), elsewhere); err != nil {
		t.Fatal(err)
	}
	s.operate(t)
	spec := v1alpha1.UnderlayPoolSpec{NetworkName: "eth1", NodeName: "rack1-a", IPFamily: v1alpha1.IPv4, Subnet: "10.20.0.0/24", Gateway: "10.20.0.254",
		Interface: v1alpha1.PoolInterface{MACAddress: "3c:fd:fe:00:0a:02", DeviceIndex: 2}, Ranges: []v1alpha1.Range{"10.20.0.128/28"}}
	for _, tt := range []struct {
		name   string
		change func(*v1alpha1.UnderlayPoolSpec)
		reason string
		says   []string
	}{
		{"right", func(*v1alpha1.UnderlayPoolSpec) {}, "Usable", nil},
		{"overlap", func(s *v1alpha1.UnderlayPoolSpec) { s.Ranges = []v1alpha1.Range{"10.20.0.60-10.20.0.70"} }, "Overlap",
			[]string{"pool eth1.1.v4.rack1", "take them out of one"}},
		{"twice", func(s *v1alpha1.UnderlayPoolSpec) { s.Interface.MACAddress = "3c:fd:fe:00:0a:01" }, "Duplicate", []string{"pool eth1.1.v4.rack1-a", "delete the other"}},
		{"gateway", func(s *v1alpha1.UnderlayPoolSpec) { s.Ranges = []v1alpha1.Range{"10.20.0.240/28"} }, "HasGateway", []string{"add 10.20.0.254 to spec.exclude"}},
		{"broadcast", func(s *v1alpha1.UnderlayPoolSpec) {
			s.Ranges, s.Exclude = []v1alpha1.Range{"10.20.0.240/28"}, []v1alpha1.Range{"10.20.0.254"}
		}, "HasReservedAddress", []string{"add 10.20.0.255 to spec.exclude"}},
		{"node", func(s *v1alpha1.UnderlayPoolSpec) {
			s.Subnet, s.Gateway, s.Ranges = "10.10.0.0/24", "10.10.0.1", []v1alpha1.Range{"10.10.0.8/29"}
		}, "HasNodeAddress", []string{"10.10.0.11, which is node rack1-a's own"}},
		{"no-node", func(s *v1alpha1.UnderlayPoolSpec) { s.NodeName = "rack9" }, "NodeNotFound", []string{"no node rack9", "join the node"}},
		{"not-selected", func(s *v1alpha1.UnderlayPoolSpec) { s.NetworkName = "rack2" }, "NodeNotSelected", []string{"network rack2 is not for node rack1-a", "label the node"}},
		{"no-network", func(s *v1alpha1.UnderlayPoolSpec) { s.NetworkName = "eth9" }, "NetworkNotFound", []string{"create UnderlayNetwork eth9 with provider Manual"}},
		{"derived", func(s *v1alpha1.UnderlayPoolSpec) { s.NetworkName = "ens5" }, "NotDerived", []string{"network ens5 derives"}},
		{"no-interface", func(s *v1alpha1.UnderlayPoolSpec) { s.NodeName = "rack1-b" }, "InterfaceNotFound", []string{"it has 3c:fd:fe:00:0b:01 (eth1)"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pool("mine-" + tt.name)
			p.Spec = *spec.DeepCopy()
			tt.change(&p.Spec)
			if err := s.client.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			c := s.expectCondition(t, p, v1alpha1.ConditionValid, tt.reason)
			contains(t, c.Message, tt.says...)
			if err := s.client.Delete(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		})
	}
}

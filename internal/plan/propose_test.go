// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

func TestPropose(t *testing.T) {
	tests := []struct {
		name   string
		change func(*v1alpha1.Inventory)
		given  []v1alpha1.UnderlayNetwork
		want   []string // name: device indexes, families
	}{
		{name: "one per device index", want: []string{"ens5: [0] [IPv4]", "ens6: [1] [IPv4]"}},
		{
			name: "families are those that have addresses",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces[0].IPv6Prefixes = []netip.Prefix{prefix("2001:db8::/80")}
				inv.Nodes[0].Interfaces[1].IPv4Prefixes = nil
				inv.Nodes[1].Interfaces[1].IPv4Prefixes = nil
				inv.Nodes[1].Interfaces[1].SecondaryIPv6 = []netip.Addr{addr("2001:db8:0:1::77")}
			},
			want: []string{"ens5: [0] [IPv4 IPv6]", "ens6: [1] [IPv6]"},
		},
		{
			name: "none where no interface carries addresses",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces[1].IPv4Prefixes, inv.Nodes[1].Interfaces[1].IPv4Prefixes = nil, nil
			},
			want: []string{"ens5: [0] [IPv4]"},
		},
		{
			name: "none for what the other IPAM owns",
			change: func(inv *v1alpha1.Inventory) {
				inv.OtherIPAM = []v1alpha1.OtherIPAM{v1alpha1.CiliumENI}
				inv.Nodes[1].Interfaces[1].Tags = map[string]string{v1alpha1.NoManageTag: "true"}
				inv.Nodes[0].Interfaces[1].Name = "eth1" // not ours, so its name does not count
			},
			want: []string{"ens6: [1] [IPv4]"},
		},
		{
			name: "none from Windows nodes",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Labels["kubernetes.io/os"] = "windows"
				inv.Nodes = inv.Nodes[:1]
			},
		},
		{
			name:   "links of different names",
			change: func(inv *v1alpha1.Inventory) { inv.Nodes[0].Interfaces[0].Name = "eth0" },
			want:   []string{"eni0: [0] [IPv4]", "ens6: [1] [IPv4]"},
		},
		{
			name:   "a link that nobody has seen",
			change: func(inv *v1alpha1.Inventory) { inv.Nodes[1].Interfaces[0].Name = "" },
			want:   []string{"eni0: [0] [IPv4]", "ens6: [1] [IPv4]"},
		},
		{
			name: "a link's name that is no name for a network",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces[0].Name, inv.Nodes[1].Interfaces[0].Name = "bond0.7", "bond0.7"
			},
			want: []string{"eni0: [0] [IPv4]", "ens6: [1] [IPv4]"},
		},
		{
			name: "two device indexes with one link name",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces = inv.Nodes[0].Interfaces[:1]
				inv.Nodes[1].Interfaces = inv.Nodes[1].Interfaces[1:]
				inv.Nodes[1].Interfaces[0].Name = "ens5"
			},
			want: []string{"eni1: [1] [IPv4]", "ens5: [0] [IPv4]"},
		},
		{
			name:  "none where a given network chooses on any node",
			given: []v1alpha1.UnderlayNetwork{onNode(network4("mine", 1), "node-0001")},
			want:  []string{"ens5: [0] [IPv4]", "mine: [1] [IPv4]"},
		},
		{
			name:  "a given network on no node chooses nothing",
			given: []v1alpha1.UnderlayNetwork{onNode(network4("mine", 1), "node-7")},
			want:  []string{"ens5: [0] [IPv4]", "ens6: [1] [IPv4]", "mine: [1] [IPv4]"},
		},
		{
			name: "a Manual network chooses too",
			given: func() []v1alpha1.UnderlayNetwork {
				n := network4("mine", 0)
				n.Spec.Provider = v1alpha1.ProviderManual
				n.Spec.InterfaceSelector = v1alpha1.InterfaceSelector{Names: []string{"ens5"}}
				return []v1alpha1.UnderlayNetwork{n}
			}(),
			want: []string{"ens6: [1] [IPv4]", "mine: [] [IPv4]"},
		},
		{
			name: "names and attachments that are taken",
			given: func() []v1alpha1.UnderlayNetwork {
				a, b, c := network4("ens5", 7), network4("x", 8), network4("eni1", 9)
				b.Spec.Attachment = &v1alpha1.AttachmentReference{Name: "ipvlan-ens6"}
				return []v1alpha1.UnderlayNetwork{a, b, c}
			}(),
			want: []string{"eni0: [0] [IPv4]", "eni1: [9] [IPv4]", "eni1-2: [1] [IPv4]", "ens5: [7] [IPv4]", "x: [8] [IPv4]"},
		},
		{
			name: "all cards of a device index",
			change: func(inv *v1alpha1.Inventory) {
				for i := range inv.Nodes {
					inv.Nodes[i].Interfaces[1].NetworkCardIndex, inv.Nodes[i].Interfaces[1].DeviceIndex = 1, 0
				}
			},
			want: []string{"eni0: [0] [IPv4]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := two()
			if tt.change != nil {
				tt.change(&inv)
			}
			p, _ := For(Inputs{Inventory: inv, Networks: tt.given, Propose: true})
			var got []string
			for _, n := range p.Networks {
				got = append(got, fmt.Sprintf("%s: %v %v", n.Name, n.Spec.InterfaceSelector.DeviceIndexes, n.Spec.IPFamilies))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestProposalsAreStable: what is proposed takes every address, also on further cards, and a second plan with the
// proposals as given networks is the same.
func TestProposalsAreStable(t *testing.T) {
	inv := two()
	inv.Nodes[0].Interfaces[1].NetworkCardIndex, inv.Nodes[0].Interfaces[1].DeviceIndex = 1, 0
	p, findings := For(Inputs{Inventory: inv, Propose: true})
	want := []string{"eni0.0.v4.node-0000: 10.0.0.64/28", "eni0.0.v4.node-0001: 10.0.1.64/28", "eni0.1-0.v4.node-0000: 10.1.0.64/28",
		"ens6.1.v4.node-0001: 10.1.1.64/28",
		"info node-without-interface network/ens6: 1 of 2 selected nodes has no interface with device index 1, so pods of this network cannot run there: node-0000"}
	if d := cmp.Diff(want, lines(p, findings)); d != "" {
		t.Error(d)
	}
	again, findingsAgain := For(Inputs{Inventory: inv, Networks: p.Networks, Propose: true})
	if d := cmp.Diff(p.Objects(), again.Objects()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(findings, findingsAgain); d != "" {
		t.Error(d)
	}
}

// TestProposeDefault: only the first proposal, only when asked for, and never beside a default that is given.
func TestProposeDefault(t *testing.T) {
	given := network4("mine", 1)
	given.Spec.Default = true
	for name, tt := range map[string]struct {
		asked bool
		given []v1alpha1.UnderlayNetwork
		want  []string
	}{
		"not asked for":           {want: nil},
		"the first":               {asked: true, want: []string{"ens5"}},
		"beside a given default":  {asked: true, given: []v1alpha1.UnderlayNetwork{given}, want: []string{"mine"}},
		"beside a given network":  {asked: true, given: []v1alpha1.UnderlayNetwork{network4("mine", 0)}, want: []string{"ens6"}},
		"nothing left to propose": {asked: true, given: []v1alpha1.UnderlayNetwork{network4("mine", 0), network4("too", 1)}, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := For(Inputs{Inventory: two(), Networks: tt.given, Propose: true, ProposeDefault: tt.asked})
			var got []string
			for _, n := range p.Networks {
				if n.Spec.Default {
					got = append(got, n.Name)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNothingToPropose(t *testing.T) {
	inv := plantest.Inventory(plantest.Uniform(1200, plantest.Node{{}, {}}))
	got := lines(For(Inputs{Inventory: inv, Propose: true}))
	want := []string{"warning nothing-to-propose inventory: no network is given, and none of 2,400 interfaces on 1,200 nodes carries " +
		"a prefix or secondary address for pods"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got := lines(For(Inputs{Inventory: inv})); got != nil {
		t.Errorf("without a wish for proposals: %v", got)
	}
}

func onNode(n v1alpha1.UnderlayNetwork, hostname string) v1alpha1.UnderlayNetwork {
	n.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": hostname}}
	return n
}

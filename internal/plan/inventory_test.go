// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestDoubtfulInventories: what cannot be true is left out, and said.
func TestDoubtfulInventories(t *testing.T) {
	pools := []string{"n.0.v4.node-0000: 10.0.0.64/28", "n.0.v4.node-0001: 10.0.1.64/28"}
	tests := []struct {
		name   string
		change func(inv *v1alpha1.Inventory, first, second *v1alpha1.Interface)
		want   []string
	}{
		{
			name:   "a valid one",
			change: func(*v1alpha1.Inventory, *v1alpha1.Interface, *v1alpha1.Interface) {},
			want:   pools,
		},
		{
			name: "a prefix on two interfaces",
			change: func(_ *v1alpha1.Inventory, first, second *v1alpha1.Interface) {
				second.IPv4Prefixes = append(second.IPv4Prefixes, first.IPv4Prefixes...)
			},
			want: []string{pools[1],
				"error address-on-two-interfaces interface/eni-0000-0 (node-0000): prefix 10.0.0.64/28 is also on interface/eni-0001-0 (node-0001): neither hands it out",
				"error address-on-two-interfaces interface/eni-0001-0 (node-0001): prefix 10.0.0.64/28 is also on interface/eni-0000-0 (node-0000): neither hands it out",
				"warning interface-without-addresses network/n: 1 of 2 chosen interfaces has no address for the network (IPv4, from Prefix or SecondaryIP): eni-0000-0 (node-0000)"},
		},
		{
			name: "an address inside another interface's prefix, and another's primary one",
			change: func(_ *v1alpha1.Inventory, first, second *v1alpha1.Interface) {
				first.SecondaryIPv4 = []netip.Addr{addr("10.0.1.70"), second.PrimaryIPv4, addr("10.0.0.20")}
			},
			want: []string{"n.0.v4.node-0000: 10.0.0.20 10.0.0.64/28",
				"error address-on-two-interfaces interface/eni-0000-0 (node-0000): secondary address 10.0.1.10 is also on interface/eni-0001-0 (node-0001): neither hands it out",
				"error address-on-two-interfaces interface/eni-0000-0 (node-0000): secondary address 10.0.1.70 is also on interface/eni-0001-0 (node-0001): neither hands it out",
				"error address-on-two-interfaces interface/eni-0001-0 (node-0001): prefix 10.0.1.64/28 is also on interface/eni-0000-0 (node-0000): neither hands it out",
				"error address-on-two-interfaces interface/eni-0001-0 (node-0001): primary address 10.0.1.10 is also on interface/eni-0000-0 (node-0000): neither hands it out",
				"warning interface-without-addresses network/n: 1 of 2 chosen interfaces has no address for the network (IPv4, from Prefix or SecondaryIP): eni-0001-0 (node-0001)"},
		},
		{
			name: "outside the subnet, or of the other family",
			change: func(_ *v1alpha1.Inventory, first, _ *v1alpha1.Interface) {
				first.IPv4Prefixes = append(first.IPv4Prefixes, prefix("10.9.0.0/28"), prefix("2001:db8::/80"))
				first.SecondaryIPv4 = []netip.Addr{addr("10.9.0.20"), addr("10.0.0.20")}
			},
			want: []string{"n.0.v4.node-0000: 10.0.0.20 10.0.0.64/28", pools[1],
				"error address-outside-subnet interface/eni-0000-0 (node-0000): secondary address 10.9.0.20 is outside the interface's subnet subnet-00-0 (10.0.0.0/16): it is left out",
				"error prefix-outside-subnet interface/eni-0000-0 (node-0000): prefix 10.9.0.0/28 is outside the interface's subnet subnet-00-0 (10.0.0.0/16): it is left out",
				"error prefix-outside-subnet interface/eni-0000-0 (node-0000): prefix 2001:db8::/80 is outside the interface's subnet subnet-00-0 (10.0.0.0/16): it is left out"},
		},
		{
			name: "an unknown subnet; where no network chooses the interface it is but a warning",
			change: func(inv *v1alpha1.Inventory, first, _ *v1alpha1.Interface) {
				first.SubnetID = "subnet-x"
				inv.Nodes[1].Interfaces[1].SubnetID = "subnet-y"
			},
			want: []string{pools[1],
				"error unknown-subnet interface/eni-0000-0 (node-0000): its subnet subnet-x is not in the inventory: no pool for its addresses",
				"warning interface-without-addresses network/n: 1 of 2 chosen interfaces has no address for the network (IPv4, from Prefix or SecondaryIP): eni-0000-0 (node-0000)",
				"warning unknown-subnet interface/eni-0001-1 (node-0001): its subnet subnet-y is not in the inventory: no pool for its addresses"},
		},
		{
			name: "a subnet without the family",
			change: func(inv *v1alpha1.Inventory, first, _ *v1alpha1.Interface) {
				first.IPv6Prefixes = []netip.Prefix{prefix("2001:db8::/80")}
				inv.Subnets[0].IPv6CIDR = netip.Prefix{}
			},
			want: append(pools, "error subnet-without-family interface/eni-0000-0 (node-0000): the interface has IPv6 addresses for pods, "+
				"but its subnet subnet-00-0 has no IPv6 network: no pool for them"),
		},
		{
			name: "a subnet given twice",
			change: func(inv *v1alpha1.Inventory, _, _ *v1alpha1.Interface) {
				inv.Subnets = append(inv.Subnets, inv.Subnets[0], v1alpha1.Subnet{ID: inv.Subnets[1].ID})
			},
			want: append(pools, "error duplicate-in-inventory subnet/subnet-00-1: the inventory has this subnet more than once, with different contents: none of them is used",
				"warning unknown-subnet interface/eni-0000-1 (node-0000): its subnet subnet-00-1 is not in the inventory: no pool for its addresses",
				"warning unknown-subnet interface/eni-0001-1 (node-0001): its subnet subnet-00-1 is not in the inventory: no pool for its addresses"),
		},
		{
			name: "a node given twice",
			change: func(inv *v1alpha1.Inventory, _, _ *v1alpha1.Interface) {
				inv.Nodes = append(inv.Nodes, v1alpha1.Node{Name: "node-0000"})
			},
			want: []string{pools[1],
				"error duplicate-in-inventory node/node-0000: the inventory has this node more than once: none of them is used",
				"info node-without-interface network/n: 1 of 3 selected nodes has no interface with device index 0, so pods of this network cannot run there: node-0000"},
		},
		{
			name: "interfaces that cannot be told apart",
			change: func(inv *v1alpha1.Inventory, _, _ *v1alpha1.Interface) {
				inv.Nodes[0].Interfaces[1].DeviceIndex = 0
				inv.Nodes[1].Interfaces[1].MACAddress = "02:00:00:00:01:00"
			},
			want: []string{
				"error duplicate-in-inventory interface/eni-0000-0 (node-0000): another interface has the same device index 0 on network card 0: neither is used",
				"error duplicate-in-inventory interface/eni-0000-1 (node-0000): another interface has the same device index 0 on network card 0: neither is used",
				"error duplicate-in-inventory interface/eni-0001-0 (node-0001): another interface has the same MAC address 02:00:00:00:01:00: neither is used",
				"warning duplicate-in-inventory interface/eni-0001-1 (node-0001): another interface has the same MAC address 02:00:00:00:01:00: neither is used"},
		},
		{
			name: "two interfaces of one id",
			change: func(_ *v1alpha1.Inventory, first, second *v1alpha1.Interface) {
				second.ID = first.ID
			},
			want: []string{
				"error duplicate-in-inventory interface/eni-0000-0 (node-0000): another interface has the same id eni-0000-0: neither is used",
				"error duplicate-in-inventory interface/eni-0000-0 (node-0001): another interface has the same id eni-0000-0: neither is used"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := two()
			tt.change(&inv, &inv.Nodes[0].Interfaces[0], &inv.Nodes[1].Interfaces[0])
			got := lines(For(Inputs{Inventory: inv, Networks: []v1alpha1.UnderlayNetwork{network4("n", 0)}}))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

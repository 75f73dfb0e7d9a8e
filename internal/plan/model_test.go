// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"math/rand"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// locate finds a pool's node and interface in the inventory.
func locate(t rapid.TB, inv v1alpha1.Inventory, pool *v1alpha1.UnderlayPool) (v1alpha1.Node, v1alpha1.Interface) {
	t.Helper()
	for _, node := range inv.Nodes {
		for _, nic := range node.Interfaces {
			if node.Name == pool.Spec.NodeName && nic.ID == pool.Spec.Interface.ID {
				return node, nic
			}
		}
	}
	t.Fatalf("pool %s is of no interface in the inventory", pool.Name)
	return v1alpha1.Node{}, v1alpha1.Interface{}
}

// bindings are what the cloud bound to the interface for pods, and the interface's own addresses.
func bindings(nic v1alpha1.Interface, family v1alpha1.IPFamily) (forPods []iprange.Range, own []netip.Addr) {
	prefixes, secondary := nic.IPv4Prefixes, nic.SecondaryIPv4
	if family == v1alpha1.IPv6 {
		prefixes, secondary = nic.IPv6Prefixes, nic.SecondaryIPv6
	}
	for _, p := range prefixes {
		forPods = append(forPods, iprange.FromPrefix(p))
	}
	for _, a := range secondary {
		forPods = append(forPods, iprange.Single(a))
	}
	return iprange.Merge(forPods), []netip.Addr{nic.PrimaryIPv4, nic.PrimaryIPv6}
}

func texts(ranges []iprange.Range) []string {
	out := make([]string, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, r.String())
	}
	return out
}

func names(pools []v1alpha1.UnderlayPool) []string {
	out := make([]string, 0, len(pools))
	for i := range pools {
		out = append(out, pools[i].Name)
	}
	return out
}

func networkNames(p Plan) []string {
	out := make([]string, 0, len(p.Networks))
	for i := range p.Networks {
		out = append(out, p.Networks[i].Name)
	}
	return out
}

// key is a text that is equal for equal values.
func key(t rapid.TB, value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// shuffle copies the inputs with every list in another order.
func shuffle(in Inputs, r *rand.Rand) Inputs {
	in.Networks = shuffled(in.Networks, r)
	for i := range in.Networks {
		in.Networks[i].Spec.Exclude = shuffled(in.Networks[i].Spec.Exclude, r)
	}
	inv := &in.Inventory
	inv.Subnets, inv.Nodes = shuffled(inv.Subnets, r), shuffled(inv.Nodes, r)
	for i := range inv.Nodes {
		n := &inv.Nodes[i]
		n.InternalIPs, n.Interfaces = shuffled(n.InternalIPs, r), shuffled(n.Interfaces, r)
		for j := range n.Interfaces {
			nic := &n.Interfaces[j]
			nic.IPv4Prefixes, nic.IPv6Prefixes = shuffled(nic.IPv4Prefixes, r), shuffled(nic.IPv6Prefixes, r)
			nic.SecondaryIPv4, nic.SecondaryIPv6 = shuffled(nic.SecondaryIPv4, r), shuffled(nic.SecondaryIPv6, r)
		}
	}
	return in
}

func shuffled[T any](in []T, r *rand.Rand) []T {
	out := slices.Clone(in)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Match says which instance each node is, by its index in nodes; empty where it is not certain.
//
// By providerID first; two nodes with the same one have none. A node without a providerID of AWS is the only instance
// that holds all of the node's internalIPs that any instance holds: as a primary address if there is such an instance,
// else as any. An instance that a providerID names, or that several nodes match, is nobody's by address.
func Match(nodes []v1alpha1.Node, instances []Instance) []string {
	known := make(map[string]bool, len(instances))
	for _, instance := range instances {
		known[instance.ID] = true
	}
	out := make([]string, len(nodes))
	named := map[string]int{}
	var rest []int
	for i, node := range nodes {
		id, ok := ParseProviderID(node.ProviderID)
		if !ok {
			rest = append(rest, i)
			continue
		}
		if known[id.InstanceID] {
			out[i] = id.InstanceID
			named[id.InstanceID]++
		}
	}
	holders := holdersOf(instances)
	claimed := map[string]int{}
	for _, i := range rest {
		out[i] = holders.only(nodes[i].InternalIPs)
		claimed[out[i]]++
	}
	for _, i := range rest {
		if claimed[out[i]] > 1 || named[out[i]] > 0 {
			out[i] = ""
		}
	}
	for i, id := range out {
		if named[id] > 1 {
			out[i] = ""
		}
	}
	return out
}

// holders maps addresses to the instances that hold them; more than one where networks overlap.
type holders struct {
	primary, other map[netip.Addr][]string
}

func holdersOf(instances []Instance) holders {
	h := holders{primary: map[netip.Addr][]string{}, other: map[netip.Addr][]string{}}
	for _, instance := range instances {
		for _, nic := range instance.Interfaces {
			for _, addr := range []netip.Addr{nic.PrimaryIPv4, nic.PrimaryIPv6} {
				if addr.IsValid() {
					h.primary[addr] = append(h.primary[addr], instance.ID)
				}
			}
			for _, addrs := range [][]netip.Addr{nic.SecondaryIPv4, nic.SecondaryIPv6} {
				for _, addr := range addrs {
					h.other[addr] = append(h.other[addr], instance.ID)
				}
			}
		}
	}
	return h
}

// only returns the one instance that holds all of the addresses that any instance holds, or nothing.
func (h holders) only(addrs []netip.Addr) string {
	votes := map[string]int{}
	seen := map[netip.Addr]bool{}
	for _, addr := range addrs {
		addr = addr.Unmap()
		if seen[addr] {
			continue
		}
		ids := h.primary[addr]
		if len(ids) == 0 {
			ids = h.other[addr]
		}
		if len(ids) == 0 {
			continue
		}
		seen[addr] = true
		for _, id := range ids {
			votes[id]++
		}
	}
	winner := ""
	for id, count := range votes {
		if count != len(seen) {
			continue
		}
		if winner != "" {
			return ""
		}
		winner = id
	}
	return winner
}

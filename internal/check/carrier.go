// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// carrier is an interface that carries pods of a network, with the addresses that they have, of one family.
type carrier struct {
	node    *v1alpha1.Node
	nic     *v1alpha1.Interface
	network string
	family  v1alpha1.IPFamily
	// pods are the addresses of the pool.
	pods []iprange.Range
}

// ownPools are the pools that are planned, and those that exist beside the plan, such as the user's own.
func ownPools(in Inputs) []v1alpha1.UnderlayPool {
	out := slices.Clone(in.Plan.Pools)
	if in.Cluster == nil {
		return out
	}
	planned := map[string]bool{}
	for i := range out {
		planned[out[i].Name] = true
	}
	for i := range in.Cluster.Pools {
		if !planned[in.Cluster.Pools[i].Name] {
			out = append(out, in.Cluster.Pools[i])
		}
	}
	return out
}

// podCarriers are the interfaces of our own pools, by network, family, node and interface.
func podCarriers(in Inputs) []carrier {
	nodes := map[string]*v1alpha1.Node{}
	for i := range in.Inventory.Nodes {
		nodes[in.Inventory.Nodes[i].Name] = &in.Inventory.Nodes[i]
	}
	var out []carrier
	pools := ownPools(in)
	for i := range pools {
		p := &pools[i].Spec
		n := nodes[p.NodeName]
		if n == nil {
			continue
		}
		at := slices.IndexFunc(n.Interfaces, func(nic v1alpha1.Interface) bool { return strings.EqualFold(nic.MACAddress, p.Interface.MACAddress) })
		pods := iprange.Subtract(parse(p.Ranges), parse(p.Exclude))
		if at >= 0 && len(pods) > 0 {
			out = append(out, carrier{n, &n.Interfaces[at], p.NetworkName, p.IPFamily, pods})
		}
	}
	slices.SortStableFunc(out, func(a, b carrier) int {
		return cmp.Or(cmp.Compare(a.network, b.network), cmp.Compare(a.family, b.family), cmp.Compare(a.node.Name, b.node.Name),
			cmp.Compare(a.nic.ID, b.nic.ID))
	})
	return out
}

// subnetsOf are the subnets of carriers which the inventory has, by id, each with its carriers.
func subnetsOf(in Inputs, of []carrier) []carryingSubnet {
	var out []carryingSubnet
	for _, s := range in.Inventory.Subnets {
		if slices.ContainsFunc(out, func(o carryingSubnet) bool { return o.ID == s.ID }) {
			continue
		}
		c := carryingSubnet{Subnet: s}
		for _, one := range of {
			if one.nic.SubnetID == s.ID {
				c.carriers = append(c.carriers, one)
			}
		}
		if len(c.carriers) > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b carryingSubnet) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// carryingSubnet has interfaces that carry pods.
type carryingSubnet struct {
	v1alpha1.Subnet
	carriers []carrier
}

// with keeps the carriers of a family.
func (s carryingSubnet) with(family v1alpha1.IPFamily) []carrier {
	return slices.DeleteFunc(slices.Clone(s.carriers), func(c carrier) bool { return c.family != family })
}

// nodeCount counts the nodes of carriers.
func nodeCount(of []carrier) int {
	nodes := map[string]bool{}
	for _, c := range of {
		nodes[c.node.Name] = true
	}
	return len(nodes)
}

// nicCount counts the interfaces of carriers.
func nicCount(of []carrier) int {
	nics := map[string]bool{}
	for _, c := range of {
		nics[c.nic.ID] = true
	}
	return len(nics)
}

// podsOf are the pods' addresses of carriers.
func podsOf(of []carrier) []iprange.Range {
	var out []iprange.Range
	for _, c := range of {
		out = append(out, c.pods...)
	}
	return iprange.Merge(out)
}

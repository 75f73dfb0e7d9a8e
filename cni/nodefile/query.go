// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"net/netip"
	"slices"
	"time"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// Network finds a network by name; nil if this node does not carry it.
func (f *File) Network(name string) *Network {
	i := slices.IndexFunc(f.Networks, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Networks[i]
}

// DefaultNetwork is the network that is the node's default CNI configuration; nil if none is.
func (f *File) DefaultNetwork() *Network {
	i := slices.IndexFunc(f.Networks, func(n Network) bool { return n.Default })
	if i < 0 {
		return nil
	}
	return &f.Networks[i]
}

// Pool finds a pool by name; nil if the file has none of that name.
func (f *File) Pool(name string) *Pool {
	i := slices.IndexFunc(f.Pools, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Pools[i]
}

// PoolsOf lists the pools of a network, in the file's order.
func (f *File) PoolsOf(network string) []*Pool {
	var pools []*Pool
	for i := range f.Pools {
		if f.Pools[i].Network == network {
			pools = append(pools, &f.Pools[i])
		}
	}
	return pools
}

// Families lists the families of a network on this node, IPv4 first: those of its pools, whether or not they hand out anything at the moment, so that
// an exhausted or disabled family is an error rather than a pod that lacks it.
func (f *File) Families(network string) []Family {
	var families []Family
	for _, family := range []Family{IPv4, IPv6} {
		if slices.ContainsFunc(f.Pools, func(p Pool) bool { return p.Network == network && p.Family == family }) {
			families = append(families, family)
		}
	}
	return families
}

// Usable is a pool's addresses that pods may have: its ranges without excluded addresses, without the node's own and the gateway's, and without
// those that a subnet cannot give away: network and broadcast address, or the anycast address of the subnet's routers. Sorted, without overlaps.
func (f *File) Usable(p *Pool) []iprange.Range {
	holes := slices.Clone(p.Exclude)
	holes = append(holes, iprange.FromPrefix(p.Subnet).Reserved()...)
	holes = append(holes, iprange.Single(p.Gateway))
	for _, a := range f.Node.Addresses {
		holes = append(holes, iprange.Single(a))
	}
	return iprange.Subtract(iprange.Merge(slices.Clone(p.Ranges)), holes)
}

// Open is a pool's addresses that may be handed out now: the usable ones outside draining ranges, and none if the pool is disabled.
func (f *File) Open(p *Pool) []iprange.Range {
	if p.Allocation != AllocationEnabled {
		return nil
	}
	return iprange.Subtract(f.Usable(p), p.Draining)
}

// HostLegPods are the addresses on an interface that pods with host legs may have, or still have.
func (f *File) HostLegPods(mac string) []netip.Prefix {
	var ranges []iprange.Range
	for i := range f.Pools {
		p := &f.Pools[i]
		if n := f.Network(p.Network); n != nil && n.HostLeg.Enabled && p.Interface.MAC == mac {
			ranges = append(ranges, slices.Concat(p.Ranges, p.Draining)...)
		}
	}
	var list []netip.Prefix
	for _, r := range iprange.Merge(ranges) {
		list = append(list, r.Prefixes()...)
	}
	return list
}

// Allows says whether pods of a namespace may use the network.
func (n *Network) Allows(namespace string) bool {
	return len(n.AllowedNamespaces) == 0 || slices.Contains(n.AllowedNamespaces, namespace)
}

// Cooldown is how long a released address rests before reuse.
func (n *Network) Cooldown() time.Duration {
	return time.Duration(n.CooldownSeconds) * time.Second
}

// Blocks says whether pods of a namespace are kept from the instance metadata service.
func (m MetadataService) Blocks(namespace string) bool {
	return (m.Mode == MetadataBlock) != slices.Contains(m.ExceptNamespaces, namespace)
}

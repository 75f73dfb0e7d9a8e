// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// manualPools makes a pool for each node and family.
func (m *migration) manualPools(c *spiderConfig, n *v1alpha1.UnderlayNetwork, pools []*spiderPool) {
	type key struct {
		node string
		fam  family
	}
	made := map[key]*v1alpha1.UnderlayPool{}
	for _, p := range pools {
		var on []*v1alpha1.Node
		for i := range m.inv.Nodes {
			if m.serves(p, &m.inv.Nodes[i]) {
				on = append(on, &m.inv.Nodes[i])
			}
		}
		for _, part := range m.split(c, p, on) {
			at := key{part.on.Name, p.fam}
			if pool := m.manualPart(c, n, part, made[at]); pool != nil {
				made[at] = pool
			}
		}
	}
	for _, pool := range made {
		m.out.Pools = append(m.out.Pools, *pool)
	}
}

// nodePart is what a node has of one of Spiderpool's pools.
type nodePart struct {
	*spiderPool
	on *v1alpha1.Node
}

// split gives each of a pool's nodes the addresses that the inventory has on its interface: they are handed out on one
// node alone. What is for one node is its own, whatever the inventory says.
func (m *migration) split(c *spiderConfig, p *spiderPool, on []*v1alpha1.Node) []nodePart {
	if len(on) == 1 {
		return []nodePart{{p, on[0]}}
	}
	left := p.ips
	var out []nodePart
	for _, node := range on {
		nic := c.linkOn(node)
		if nic < 0 {
			continue
		}
		if mine := within(left, boundTo(&node.Interfaces[nic], p.fam)); len(mine) > 0 {
			part := *p
			part.ips = mine
			out = append(out, nodePart{&part, node})
			left = iprange.Subtract(left, mine)
		}
	}
	const remedy = "addresses are handed out on one node alone: write into the inventory which are whose, as `ranges:` of the nodes' interfaces"
	left = iprange.Subtract(left, p.exclude)
	switch {
	case len(out) == 0:
		m.tell(p.object(), "spec.nodeName", ToDo, "not carried over: it is for %s, and %s", Count(len(on), "node"), remedy)
	case len(left) > 0:
		m.tell(p.object(), "spec.ips", ToDo, "left out, since the inventory has them on no interface of its nodes: %s; %s", SomeRanges(left), remedy)
		fallthrough
	default:
		m.tell(p.object(), "spec.nodeName", Changed, "split over %s, by what the inventory has on their interfaces", Count(len(out), "node"))
	}
	return out
}

// linkOn is the index of the node's interface that carries pods; -1 if the inventory has none.
func (c *spiderConfig) linkOn(on *v1alpha1.Node) int {
	return slices.IndexFunc(on.Interfaces, func(nic v1alpha1.Interface) bool { return slices.Contains(c.links, nic.Name) })
}

// boundTo are the addresses that an inventory has on an interface for pods.
func boundTo(on *v1alpha1.Interface, fam family) []iprange.Range {
	ranges4, ranges6 := iprange.ByFamily(on.Ranges)
	out := [...][]iprange.Range{ranges4, ranges6}[fam]
	for _, p := range [...][]netip.Prefix{on.IPv4Prefixes, on.IPv6Prefixes}[fam] {
		out = append(out, iprange.FromPrefix(p))
	}
	for _, a := range [...][]netip.Addr{on.SecondaryIPv4, on.SecondaryIPv6}[fam] {
		out = append(out, iprange.Single(a))
	}
	return out
}

// manualPart adds to the node's pool, or makes it; nil where it can do neither, which is told.
func (m *migration) manualPart(c *spiderConfig, n *v1alpha1.UnderlayNetwork, p nodePart, before *v1alpha1.UnderlayPool) *v1alpha1.UnderlayPool {
	nic := c.linkOn(p.on)
	gateway := m.gateway(p.spiderPool, p.on, nic)
	switch {
	case nic < 0:
		m.tell(p.object(), "spec.nodeName", ToDo, "not carried over: the inventory knows no link %s of node %s: write it there, with its MAC address",
			strings.Join(c.links, ", "), p.on.Name)
	case !gateway.IsValid():
		m.tell(p.object(), "spec.gateway", ToDo, "not carried over: neither the pool nor the inventory's subnet has a gateway: write one into either")
	case before == nil:
		return m.manualPool(n, p.spiderPool, p.on, &p.on.Interfaces[nic], gateway)
	case before.Spec.Subnet != v1alpha1.CIDR(p.subnet.String()):
		m.tell(p.object(), "spec.subnet", ToDo, "not carried over: pool %s has node %s's addresses of another subnet, %s: a network has one of a family on a node",
			before.Name, p.on.Name, before.Spec.Subnet)
	default:
		m.join(before, p.spiderPool)
	}
	return nil
}

// gateway of the pool, or else of the interface's subnet in the inventory.
func (m *migration) gateway(p *spiderPool, on *v1alpha1.Node, nic int) netip.Addr {
	if p.gateway.IsValid() || nic < 0 {
		return p.gateway
	}
	for _, s := range m.inv.Subnets {
		if s.ID == on.Interfaces[nic].SubnetID {
			if gateway := [...]netip.Addr{s.Gateway, s.IPv6Gateway}[p.fam]; gateway.IsValid() && p.subnet.Reaches(gateway) {
				return gateway
			}
		}
	}
	return netip.Addr{}
}

func (m *migration) manualPool(n *v1alpha1.UnderlayNetwork, p *spiderPool, on *v1alpha1.Node, nic *v1alpha1.Interface, gateway netip.Addr) *v1alpha1.UnderlayPool {
	out := &v1alpha1.UnderlayPool{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "UnderlayPool"},
		ObjectMeta: metav1.ObjectMeta{Name: PoolName(n.Name, nic.NetworkCardIndex, nic.DeviceIndex, p.fam.api(), on.Name)},
		Spec: v1alpha1.UnderlayPoolSpec{
			NetworkName: n.Name, NodeName: on.Name, IPFamily: p.fam.api(),
			Interface: v1alpha1.PoolInterface{ID: nic.ID, MACAddress: strings.ToLower(nic.MACAddress), DeviceIndex: nic.DeviceIndex, NetworkCardIndex: nic.NetworkCardIndex},
			Subnet:    v1alpha1.CIDR(p.subnet.String()), Gateway: v1alpha1.Address(gateway.String()), Allocation: v1alpha1.AllocationDisabled,
		},
	}
	written(out)
	m.join(out, p)
	return out
}

// join adds what one of Spiderpool's pools has.
func (m *migration) join(to *v1alpha1.UnderlayPool, p *spiderPool) {
	ranges := iprange.Merge(append(parseRanges(to.Spec.Ranges), p.ips...))
	holes := append(parseRanges(to.Spec.Exclude), append(slices.Clone(p.exclude), p.held...)...)
	holes = append(holes, p.subnet.Reserved()...)
	if gateway, err := netip.ParseAddr(string(to.Spec.Gateway)); err == nil {
		holes = append(holes, iprange.Single(gateway))
	}
	for _, own := range m.nodes[to.Spec.NodeName].InternalIPs {
		holes = append(holes, iprange.Single(own))
	}
	if p.spec.Disable {
		holes = append(holes, p.ips...)
		m.tell(p.object(), "spec.disable", Carried, "pool %s hands out none of its addresses", to.Name)
	} else {
		to.Spec.Allocation = v1alpha1.AllocationEnabled
	}
	if left := len(ranges) - MaxRanges; left > 0 {
		ranges = ranges[:MaxRanges]
		m.tell(p.object(), "spec.ips", Changed, "the last %s: left out: a pool has %d at most", Count(left, "range"), MaxRanges)
	}
	to.Spec.Ranges = nil
	for _, r := range ranges {
		to.Spec.Ranges = append(to.Spec.Ranges, v1alpha1.Range(r.String()))
	}
	to.Spec.Exclude = m.exclusions(p.object(), within(holes, ranges), ranges, []*spiderPool{p})
	m.tell(p.object(), "spec.ips", Carried, "pool %s", to.Name)
}

// compare tells where the pools that the cloud's facts give differ from Spiderpool's.
func (m *migration) compare() {
	if m.manual {
		return
	}
	derived, _ := For(Inputs{Inventory: m.inv, Networks: m.out.Networks})
	of := map[string][]*v1alpha1.UnderlayPool{}
	for i := range derived.Pools {
		p := &derived.Pools[i]
		of[p.Spec.NetworkName] = append(of[p.Spec.NetworkName], p)
	}
	for _, c := range m.configs {
		name, carried := m.made[c.ref]
		if !carried {
			continue
		}
		var listed []iprange.Range
		for _, p := range m.joined[c.ref] {
			listed = append(listed, p.ips...)
			m.comparePool(p, name, of[name])
		}
		var more []string
		for _, d := range of[name] {
			if len(iprange.Subtract(iprange.Subtract(parseRanges(d.Spec.Ranges), parseRanges(d.Spec.Exclude)), listed)) > 0 {
				more = append(more, d.Name)
			}
		}
		if len(more) > 0 {
			m.tell(c.object(), "spec.ipvlan.ippools", Changed, "pods may have further addresses, which the cloud has bound and Spiderpool's pools do not list, in %s: %s",
				Count(len(more), "pool"), Some(more))
		}
	}
}

// comparePool tells which of its addresses, and which gateway, the cloud does not have.
func (m *migration) comparePool(p *spiderPool, network string, derived []*v1alpha1.UnderlayPool) {
	var bound []iprange.Range
	gateway, pool := "", ""
	for _, d := range derived {
		if d.Spec.IPFamily == p.fam.api() && m.serves(p, m.nodes[d.Spec.NodeName]) {
			ranges := parseRanges(d.Spec.Ranges)
			bound = append(bound, ranges...)
			if len(within(p.ips, ranges)) > 0 {
				gateway, pool = string(d.Spec.Gateway), d.Name
			}
		}
	}
	lost := iprange.Subtract(iprange.Subtract(p.ips, p.exclude), bound)
	switch {
	case len(lost) > 0:
		m.tell(p.object(), "spec.ips", ToDo, "left out, since no interface of its nodes holds them: %s; bind them in the cloud, or do without", SomeRanges(lost))
	case pool != "":
		m.tell(p.object(), "spec.ips", Carried, "network %s, %s", network, cmp.Or(pool, "no pool"))
	}
	if p.gateway.IsValid() && gateway != "" && p.gateway.String() != gateway && (p.fam == v4 || p.gateway != p.subnet.First.Next()) {
		m.tell(p.object(), "spec.gateway", Changed, "the subnet's gateway in the cloud is %s, not %s", gateway, p.gateway)
	}
}

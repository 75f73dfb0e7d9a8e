// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// Site is what a pool that a user has written is held against: the operator says what it finds as the condition Valid,
// and checks as findings.
type Site struct {
	networks map[string]*v1alpha1.UnderlayNetwork
	nodes    map[string]*v1alpha1.Node
	links    map[string][]v1alpha1.NodeLink
	// own addresses of nodes, sorted.
	own []ownAddress
}

type ownAddress struct {
	netip.Addr
	node string
}

// NewSite of networks by name, nodes and their agents' reports.
func NewSite(networks map[string]*v1alpha1.UnderlayNetwork, nodes []v1alpha1.Node, reports []v1alpha1.UnderlayNode) *Site {
	s := &Site{networks: networks, nodes: map[string]*v1alpha1.Node{}, links: map[string][]v1alpha1.NodeLink{}}
	for i := range nodes {
		s.nodes[nodes[i].Name] = &nodes[i]
		for _, a := range nodes[i].InternalIPs {
			s.own = append(s.own, ownAddress{a, nodes[i].Name})
		}
	}
	slices.SortFunc(s.own, func(a, b ownAddress) int { return a.Compare(b.Addr) })
	for i := range reports {
		s.links[reports[i].Name] = reports[i].Status.Links
	}
	return s
}

// Mistake is what is wrong with a pool that a user has written, by itself and with its network and node. Whether it
// overlaps another is asked elsewhere.
type Mistake struct {
	// ID of the finding, such as pool-node-not-found.
	ID string
	// Message says what is wrong, Remedy what to do.
	Message, Remedy string
}

// Reason of the condition Valid: what the id says behind "pool-", such as NodeNotFound.
func (m Mistake) Reason() string { return Words(strings.TrimPrefix(m.ID, "pool-")) }

// Words turns a finding's id into a condition's reason: network-without-nodes is NetworkWithoutNodes.
func Words(id string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(id, "-") {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}

// Mistake finds the first thing that is wrong with the pool; ok is false when nothing is. A node whose agent has not
// reported may have any interface.
func (s *Site) Mistake(p *v1alpha1.UnderlayPool) (m Mistake, ok bool) {
	network := s.networks[p.Spec.NetworkName]
	if network == nil {
		return Mistake{IDPoolNetworkNotFound, fmt.Sprintf("network %s does not exist, so no pod can ask for the pool", p.Spec.NetworkName),
			fmt.Sprintf("create UnderlayNetwork %s with provider Manual, or delete the pool", p.Spec.NetworkName)}, true
	}
	spec := network.Effective()
	mac := p.Spec.Interface.MACAddress
	switch links := s.links[p.Spec.NodeName]; {
	case spec.Provider != v1alpha1.ProviderManual:
		return Mistake{IDPoolNotDerived, fmt.Sprintf("network %s derives its pools from the cloud, and this is none of them", p.Spec.NetworkName),
			"delete the pool, or give its addresses to a network with provider Manual"}, true
	case !slices.Contains(spec.IPFamilies, p.Spec.IPFamily):
		return Mistake{IDPoolFamilyNotInNetwork, fmt.Sprintf("network %s is %s alone, and the pool is %s", p.Spec.NetworkName,
			joined(spec.IPFamilies), p.Spec.IPFamily),
			fmt.Sprintf("add %s to spec.ipFamilies of the network, or delete the pool", p.Spec.IPFamily)}, true
	case s.nodes[p.Spec.NodeName] == nil:
		return Mistake{IDPoolNodeNotFound, fmt.Sprintf("the cluster has no node %s", p.Spec.NodeName),
			"join the node, or delete the pool and create it with the right nodeName (`kubectl get nodes`)"}, true
	case !s.selects(&spec, p.Spec.NodeName):
		return Mistake{IDPoolNodeNotSelected, fmt.Sprintf("network %s is not for node %s: its nodeSelector does not match the node's labels", p.Spec.NetworkName, p.Spec.NodeName),
			fmt.Sprintf("label the node, widen spec.nodeSelector of network %s (absent: all Linux nodes), or delete the pool", p.Spec.NetworkName)}, true
	case len(links) > 0 && !slices.ContainsFunc(links, func(l v1alpha1.NodeLink) bool { return strings.EqualFold(l.MACAddress, mac) }):
		return Mistake{IDPoolInterfaceNotFound, fmt.Sprintf("node %s has no interface with the MAC address %s; it has %s", p.Spec.NodeName, mac, named(links)),
			"put the right MAC address into spec.interface.macAddress"}, true
	}
	return s.unfit(p)
}

// selects says whether the network is meant for the node. What is wrong with the selector itself is the network's fault.
func (s *Site) selects(spec *v1alpha1.UnderlayNetworkSpec, node string) bool {
	nodes, err := nodesOf(spec)
	return err != nil || among(nodes, s.nodes[node])
}

// named lists links for a message.
func named(links []v1alpha1.NodeLink) string {
	var out []string
	for _, l := range links {
		out = append(out, l.MACAddress+" ("+l.Name+")")
	}
	slices.Sort(out)
	return Some(out)
}

// unfit finds addresses among those that the pool hands out which no pod can have.
func (s *Site) unfit(p *v1alpha1.UnderlayPool) (Mistake, bool) {
	usable := iprange.Subtract(parseRanges(p.Spec.Ranges), parseRanges(p.Spec.Exclude))
	subnet, err := iprange.Parse(string(p.Spec.Subnet))
	if err != nil {
		return Mistake{}, false // the schema refuses it
	}
	if gateway, err := netip.ParseAddr(string(p.Spec.Gateway)); err == nil && iprange.Contains(usable, gateway) {
		return Mistake{IDPoolHasGateway, fmt.Sprintf("spec.ranges holds the gateway %s: a pod that got it would cut off the others", gateway),
			fmt.Sprintf("add %s to spec.exclude", gateway)}, true
	}
	for _, r := range usable {
		at, _ := slices.BinarySearchFunc(s.own, r.First, func(a ownAddress, first netip.Addr) int { return a.Compare(first) })
		if at < len(s.own) && r.Contains(s.own[at].Addr) {
			return Mistake{IDPoolHasNodeAddress, fmt.Sprintf("spec.ranges holds %s, which is node %s's own address", s.own[at].Addr, s.own[at].node),
				fmt.Sprintf("add %s to spec.exclude", s.own[at].Addr)}, true
		}
	}
	if held := within(subnet.Reserved(), usable); len(held) > 0 {
		return Mistake{IDPoolHasReservedAddress, fmt.Sprintf("spec.ranges holds %s, which no host of subnet %s may have (the network's, broadcast or anycast address)",
			held[0], p.Spec.Subnet), fmt.Sprintf("add %s to spec.exclude", held[0])}, true
	}
	return Mistake{}, false
}

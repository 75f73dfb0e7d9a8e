// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// hostLegPriority is that of the rule for the routes by the host leg: ahead of the tables of interfaces, which have default routes, and
	// of what other software adds.
	hostLegPriority = 100
	// sourcePriority is that of the rules for what comes from an interface's addresses.
	sourcePriority = 200
)

// want is what an endpoint comes to, once its links and the node's addresses are known.
type want struct {
	settings   []sysctl // in the pod
	addresses  []netip.Prefix
	routes     []route
	rules      []rule
	neighbours []neighbour
	filters    []filter
	shapers    []shaper
	node       nodeWant
}

// nodeWant is the node's side of a host leg.
type nodeWant struct {
	settings   []sysctl
	routes     []route
	neighbours []neighbour
	filters    []filter // on the interface that carries the endpoint
}

// links of an endpoint: the interface and the node's that carries it, and the host leg's ends, which have index 0 if there is no host leg.
type links struct{ pod, master, peer, node link }

// want works out the details.
func (e *Endpoint) want(l links, node nodeAddresses) want {
	w := want{settings: e.settings()}
	table := unix.RT_TABLE_MAIN
	if !e.Primary {
		table = e.index()
	}
	for _, a := range e.Addresses {
		w.addresses = append(w.addresses, a.Prefix)
		if !e.Primary {
			w.rules = append(w.rules, rule{family: familyOf(a.Prefix.Addr()), priority: sourcePriority, from: a.Prefix.Addr(), table: table})
			if subnet := a.Prefix.Masked(); !slices.ContainsFunc(e.Routes, func(r Route) bool { return r.Destination == subnet }) {
				// What the kernel puts into the main table with the address.
				w.routes = append(w.routes, route{destination: subnet, source: a.Prefix.Addr(), table: table, metric: usualMetric(a.Prefix.Addr()), index: l.pod.index})
			}
		}
		w.routes = append(w.routes, e.route(a, netip.PrefixFrom(zero(a.Prefix.Addr()), 0), a.Gateway, table, l.pod.index))
		for _, r := range e.Routes {
			if r.Destination.Addr().Is4() != a.Prefix.Addr().Is4() {
				continue
			}
			shared := e.route(a, r.Destination, r.Gateway, unix.RT_TABLE_MAIN, l.pod.index)
			if !e.Primary {
				shared.metric = e.index() // else it would replace another interface's route to the same destination
			}
			w.routes = append(w.routes, shared)
			if !e.Primary {
				w.routes = append(w.routes, e.route(a, r.Destination, r.Gateway, table, l.pod.index))
			}
		}
	}
	e.wantFilters(&w, l)
	e.wantLimits(&w, l)
	w.node.filters = e.metadataFilters(l.master.index)
	if e.HostLeg != nil {
		e.wantHostLeg(&w, l, node)
	}
	return w
}

// route by the interface. The gateway is said to be on the link: AWS's of IPv6 is outside of the subnet, and of one inside the kernel would ask its own
// routes, of which one to a part of the subnet may lead elsewhere.
func (e *Endpoint) route(a Address, destination netip.Prefix, gateway netip.Addr, table, index int) route {
	return route{destination: destination, via: gateway, onlink: true, source: a.Prefix.Addr(), table: table, metric: usualMetric(a.Prefix.Addr()), index: index}
}

func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// settings of the pod's namespace.
func (e *Endpoint) settings() []sysctl {
	var list []sysctl
	names := []string{e.Name}
	if e.HostLeg != nil {
		names = append(names, hostLegLink)
		// The kernel takes the stricter of both, and "loose" drops too on a link without addresses. A new namespace has the node's values.
		list = append(list, ipv4Setting("all", "rp_filter", "0"), ipv4Setting(hostLegLink, "rp_filter", "0"))
	}
	for _, name := range names {
		if e.hasFamily(true) {
			list = append(list, ipv6Setting(name, "disable_ipv6", "0"))
		}
		list = append(list, ipv6Setting(name, "accept_ra", "0"), ipv6Setting(name, "autoconf", "0"))
	}
	if !e.Primary {
		// Else the pod's first interface answers for this one's address, and the cloud drops what comes by the wrong interface.
		list = append(list, ipv4Setting("all", "arp_ignore", "1"), ipv4Setting("all", "arp_announce", "2"))
	}
	return list
}

func ipv4Setting(link, name, value string) sysctl {
	return sysctl{path: "/proc/sys/net/ipv4/conf/" + link + "/" + name, value: value}
}

func ipv6Setting(link, name, value string) sysctl {
	return sysctl{path: "/proc/sys/net/ipv6/conf/" + link + "/" + name, value: value}
}

// wantHostLeg adds what the host leg needs on both sides, for each family that both sides have.
func (e *Endpoint) wantHostLeg(w *want, l links, node nodeAddresses) {
	nodeMAC, podMAC := e.macs()
	w.node.settings = []sysctl{ipv6Setting(e.hostLeg(), "accept_ra", "0")}
	for _, a := range e.Addresses {
		own := a.Prefix.Addr()
		neighbourOf := node.of(own)
		if !neighbourOf.IsValid() {
			continue
		}
		via := neighbourOf
		seen := map[netip.Prefix]bool{}
		w.rules = append(w.rules, rule{family: familyOf(own), priority: hostLegPriority, table: e.hostLegTable()})
		if own.Is4() {
			seen[single(via)] = true
			w.routes = append(w.routes, route{destination: single(via), source: own, table: e.hostLegTable(), metric: usualMetric(own), index: l.peer.index})
		} else {
			via = hostLegGateway()
		}
		w.neighbours = append(w.neighbours, neighbour{address: via, mac: nodeMAC.String(), index: l.peer.index})
		for _, destination := range e.HostLeg.destinations() {
			if destination.Addr().Is4() == own.Is4() && !seen[destination] {
				seen[destination] = true
				w.routes = append(w.routes, route{destination: destination, via: via, onlink: true, source: own, table: e.hostLegTable(), metric: usualMetric(own), index: l.peer.index})
			}
		}
		w.node.neighbours = append(w.node.neighbours, neighbour{address: own, mac: podMAC.String(), index: l.node.index})
		w.node.routes = append(w.node.routes, route{destination: single(own), source: neighbourOf, table: unix.RT_TABLE_MAIN, metric: usualMetric(own), index: l.node.index})
	}
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// hostLegGateway is the node's end of any host leg to routes of IPv6. The node does not have it; its MAC counts, and that is a permanent neighbour's. The
// node's own address does not do where it is in the pod's subnet: the kernel refuses a gateway that another route leads to.
func hostLegGateway() netip.Addr { return netip.MustParseAddr("fe80:756c::1") }

// destinations reached by the host leg.
func (h *HostLeg) destinations() []netip.Prefix {
	var list []netip.Prefix
	for _, a := range h.Node {
		list = append(list, netip.PrefixFrom(a, a.BitLen()))
	}
	return append(list, h.CIDRs...)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"fmt"
	"slices"
	"strings"
)

// compare names what differs between what an endpoint should be and what the kernel has. More routes, rules and neighbours than ours are allowed: pods
// may have their own.
func compare(e *Endpoint, w want, h have) []string {
	if h.links.pod.index == 0 {
		return []string{fmt.Sprintf("interface %s is missing", e.Name)}
	}
	c := &comparison{}
	c.interfaceOf(e, h)
	if e.HostLeg != nil {
		c.hostLeg(e, h)
	}
	for _, p := range w.addresses {
		c.expect(slices.Contains(h.addresses, p), "address %s of %s is missing", p, e.Name)
	}
	for _, p := range h.addresses {
		c.expect(slices.Contains(w.addresses, p), "%s has the address %s besides its own", e.Name, p)
	}
	c.routing("", w.settings, h.settings, w.routes, h.routes, w.neighbours, h.neighbours)
	for _, r := range w.rules {
		c.expect(slices.Contains(h.rules, r), "%s is missing", r)
	}
	for _, f := range slices.Concat(w.filters, w.node.filters) {
		c.filter(e, f, h.filters)
	}
	c.shapers(w.shapers, h.shapers)
	if h.links.node.index != 0 {
		c.routing("on the node, ", w.node.settings, h.node.settings, w.node.routes, h.node.routes, w.node.neighbours, h.node.neighbours)
	}
	return c.differences
}

// comparison collects differences.
type comparison struct{ differences []string }

func (c *comparison) expect(ok bool, format string, args ...any) {
	if !ok {
		c.differences = append(c.differences, fmt.Sprintf(format, args...))
	}
}

func (c *comparison) interfaceOf(e *Endpoint, h have) {
	l := h.links.pod
	if l.kind != kindIPVlan {
		c.expect(false, "%s is not an ipvlan link", e.Name)
		return
	}
	c.expect(l.MAC.String() == e.MAC, "%s has MAC %s: it is on another interface than %s", e.Name, l.MAC, e.MAC)
	c.expect(l.elsewhere && l.parent == h.links.master.index, "%s is not on %s", e.Name, h.links.master.Name)
	c.expect(l.mode == modeL2, "%s is in another ipvlan mode than l2", e.Name)
	c.expect(l.flags == 0, "%s has the ipvlan flag private or vepa", e.Name)
	c.expect(l.up, "%s is down", e.Name)
	c.expect(h.links.master.up, "the node's interface %s is down", h.links.master.Name)
	mtu := e.MTU
	if mtu == 0 {
		mtu = h.links.master.MTU
	}
	c.expect(l.MTU == mtu, "%s has MTU %d, and should have %d", e.Name, l.MTU, mtu)
}

// filter expects a filter, or in its place that of another version of the plugin, which pods keep until they go. It need not be the same; it has to do the
// same with what pods usually send. Those that a node's pods share are not the pod's fault.
func (c *comparison) filter(e *Endpoint, wanted filter, found []filter) {
	if slices.Contains(found, wanted) {
		return
	}
	i := slices.IndexFunc(found, wanted.replaces)
	c.expect(i >= 0, "%s is missing", wanted)
	if i >= 0 && !wanted.shared() {
		c.expect(e.alike(wanted.program, found[i].program), "%s does not do what it should", wanted)
	}
}

func (c *comparison) shapers(wanted, found []shaper) {
	for _, w := range wanted {
		w.burst = 0
		c.expect(slices.Contains(found, w), "%s is missing", w)
	}
	for _, f := range found {
		c.expect(slices.ContainsFunc(wanted, func(w shaper) bool { return w.index == f.index }), "%s is there, and should not be", f)
	}
}

func (c *comparison) hostLeg(e *Endpoint, h have) {
	nodeMAC, podMAC := e.macs()
	for _, end := range []struct {
		link
		name, mac string
	}{{h.links.peer, hostLegLink, podMAC.String()}, {h.links.node, e.hostLeg(), nodeMAC.String()}} {
		if end.index == 0 {
			c.expect(false, "the host leg's link %s is missing", end.name)
			continue
		}
		c.expect(end.kind == kindVeth, "%s is not a veth link", end.name)
		c.expect(end.up, "%s is down", end.name)
		c.expect(end.MAC.String() == end.mac, "%s has MAC %s, and should have %s", end.name, end.MAC, end.mac)
		c.expect(end.MTU == h.links.pod.MTU, "%s has MTU %d, and should have %d", end.name, end.MTU, h.links.pod.MTU)
	}
}

func (c *comparison) routing(where string, wantedSettings, settings []sysctl, wantedRoutes, routes []route, wantedNeighbours, neighbours []neighbour) {
	for _, s := range settings {
		i := slices.IndexFunc(wantedSettings, func(w sysctl) bool { return w.path == s.path })
		if i >= 0 && wantedSettings[i].value != s.value {
			c.expect(false, "%s%s is %s, and should be %s", where, strings.TrimPrefix(s.path, "/proc/sys/"), s.value, wantedSettings[i].value)
		}
	}
	for _, r := range wantedRoutes {
		c.expect(slices.ContainsFunc(routes, r.leads), "%s%s is missing", where, r)
	}
	for _, n := range wantedNeighbours {
		c.expect(slices.Contains(neighbours, n), "%sthe permanent neighbour %s at %s is missing", where, n.address, n.mac)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update is set by the command line.
var update = flag.Bool("update", false, "write the golden files")

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func ipv4() Address {
	return Address{Prefix: netip.MustParsePrefix("172.31.28.17/20"), Gateway: netip.MustParseAddr("172.31.16.1")}
}

func ipv6() Address {
	return Address{Prefix: netip.MustParsePrefix("2406:da1e:c4:ed01:c57d::1/64"), Gateway: netip.MustParseAddr("fe80:ec2::1")}
}

func hostLeg() *HostLeg {
	return &HostLeg{
		Node:  []netip.Addr{netip.MustParseAddr("172.31.18.11"), netip.MustParseAddr("172.31.18.12"), netip.MustParseAddr("2406:da1e:c4:ed01::11")},
		CIDRs: prefixes("10.96.0.0/12", "fd00:10:96::/108"),
	}
}

// endpoints are the golden files' cases.
func endpoints() map[string]Endpoint {
	first := Identity{Container: "c1", Name: "eth0"}
	routes := []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.31.16.1")}}
	const mac = "02:00:00:00:10:01"
	return map[string]Endpoint{
		"ipv4":       {Identity: first, MAC: mac, Addresses: []Address{ipv4()}, Primary: true},
		"dual":       {Identity: first, MAC: mac, Addresses: []Address{ipv4(), ipv6()}, Primary: true, HostLeg: hostLeg(), Routes: routes},
		"ipv6":       {Identity: first, MAC: mac, Addresses: []Address{ipv6()}, Primary: true, HostLeg: hostLeg()},
		"no-gateway": {Identity: first, MAC: mac, Addresses: []Address{ipv4()}, Primary: true, Routes: []Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("192.0.2.1")}}},
		"limited":    {Identity: first, MAC: mac, Addresses: []Address{ipv4(), ipv6()}, Primary: true, BlockMetadata: true, Bandwidth: Bandwidth{Ingress: Limit{Rate: 10_000_000}, Egress: Limit{Rate: 40_000_000_000, Burst: 8 << 20}}},
		"second":     {Identity: Identity{Container: "c1", Name: "net1"}, MAC: mac, Addresses: []Address{ipv4(), ipv6()}, Routes: routes},
	}
}

func someLinks(e *Endpoint) links {
	mac, _ := net.ParseMAC(e.MAC)
	nodeMAC, podMAC := e.macs()
	l := links{master: link{Name: "ens5", index: 3, MTU: 9001, up: true}, pod: link{Name: e.Name, index: e.index(), MAC: mac, MTU: 9001, kind: kindIPVlan, up: true, parent: 3, elsewhere: true}}
	if e.HostLeg != nil {
		l.peer = link{Name: hostLegLink, index: 2, MAC: podMAC, MTU: 9001, kind: kindVeth, up: true}
		l.node = link{Name: e.hostLeg(), index: 7, MAC: nodeMAC, MTU: 9001, kind: kindVeth, up: true}
	}
	return l
}

func someNode() nodeAddresses {
	return nodeAddresses{ipv4: netip.MustParseAddr("172.31.18.11"), ipv6: netip.MustParseAddr("2406:da1e:c4:ed01::11")}
}

func (w want) String() string {
	var b strings.Builder
	section := func(where string, settings []sysctl, routes []route, neighbours []neighbour) {
		for _, s := range settings {
			fmt.Fprintf(&b, "%s: %s = %s\n", where, strings.TrimPrefix(s.path, "/proc/sys/"), s.value)
		}
		for _, n := range neighbours {
			fmt.Fprintf(&b, "%s: neighbour %s at %s on link %d\n", where, n.address, n.mac, n.index)
		}
		for _, r := range routes {
			onlink := ""
			if r.onlink {
				onlink = " onlink"
			}
			fmt.Fprintf(&b, "%s: %s%s on link %d\n", where, r, onlink, r.index)
		}
	}
	for _, p := range w.addresses {
		fmt.Fprintln(&b, "pod: address", p)
	}
	for _, r := range w.rules {
		fmt.Fprintf(&b, "pod: %s\n", r)
	}
	for _, s := range w.shapers {
		fmt.Fprintf(&b, "pod: %s on link %d, at once %d bytes, queue %d bytes\n", s, s.index, s.burst, s.queue)
	}
	for _, f := range slices.Concat(w.filters, w.node.filters) {
		fmt.Fprintf(&b, "link %d: %s\n", f.index, f)
	}
	section("pod", w.settings, w.routes, w.neighbours)
	section("node", w.node.settings, w.node.routes, w.node.neighbours)
	return b.String()
}

func TestWant(t *testing.T) {
	for name, e := range endpoints() {
		t.Run(name, func(t *testing.T) {
			got := e.want(someLinks(&e), someNode()).String()
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestWantWithoutNodeAddress has a node without IPv6: the pod's IPv6 has no host leg.
func TestWantWithoutNodeAddress(t *testing.T) {
	e := endpoints()["dual"]
	w := e.want(someLinks(&e), nodeAddresses{ipv4: someNode().ipv4})
	for _, r := range slices.Concat(w.routes, w.node.routes) {
		if r.destination.Addr().Is6() && r.index != e.index() {
			t.Errorf("a host leg of IPv6 leads nowhere: %s", r)
		}
	}
	if len(w.node.neighbours) != 1 || len(w.neighbours) != 1 {
		t.Errorf("neighbours %v and %v, want one each", w.neighbours, w.node.neighbours)
	}
}

// found is how the kernel describes queues: it says nothing of bursts in bytes.
func found(list []shaper) []shaper {
	list = slices.Clone(list)
	for i := range list {
		list[i].burst = 0
	}
	return list
}

// TestCompare takes each thing away from what is there, in turn: each is missed, and nothing else.
func TestCompare(t *testing.T) {
	for name, e := range endpoints() {
		l := someLinks(&e)
		w := e.want(l, someNode())
		whole := func() have {
			return have{
				links: l, settings: slices.Clone(w.settings), addresses: slices.Clone(w.addresses),
				routes: slices.Clone(w.routes), rules: slices.Clone(w.rules), neighbours: slices.Clone(w.neighbours),
				filters: slices.Concat(w.filters, w.node.filters), shapers: found(w.shapers),
				node: nodeWant{settings: slices.Clone(w.node.settings), routes: slices.Clone(w.node.routes), neighbours: slices.Clone(w.node.neighbours)},
			}
		}
		t.Run(name, func(t *testing.T) {
			if differences := compare(&e, w, whole()); len(differences) > 0 {
				t.Errorf("differences where there are none: %q", differences)
			}
			one := func(what string, h have) {
				t.Helper()
				if differences := compare(&e, w, h); len(differences) != 1 {
					t.Errorf("%s: differences %q, want one", what, differences)
				}
			}
			for i := range w.routes {
				h := whole()
				h.routes = slices.Delete(h.routes, i, i+1)
				one("route", h)
			}
			for i := range w.rules {
				h := whole()
				h.rules = slices.Delete(h.rules, i, i+1)
				one("rule", h)
			}
			for i := range w.neighbours {
				h := whole()
				h.neighbours = slices.Delete(h.neighbours, i, i+1)
				one("neighbour", h)
			}
			for i := range w.addresses {
				h := whole()
				h.addresses = slices.Delete(h.addresses, i, i+1)
				one("address", h)
			}
			for i := range whole().filters {
				h := whole()
				h.filters = slices.Delete(h.filters, i, i+1)
				one("filter", h)
			}
			for i := range w.shapers {
				h := whole()
				h.shapers = slices.Delete(h.shapers, i, i+1)
				one("limit", h)
			}
			h := whole()
			h.shapers = append(h.shapers, shaper{index: 99, rate: 1})
			one("limit too many", h)
			for i := range w.settings {
				h := whole()
				h.settings[i].value = "other"
				one("setting", h)
			}
			for i := range w.node.routes {
				h := whole()
				h.node.routes = slices.Delete(h.node.routes, i, i+1)
				one("node's route", h)
			}
			for _, spoil := range []func(l *link){
				func(l *link) { l.up = false }, func(l *link) { l.mode = 1 }, func(l *link) { l.flags = 1 }, func(l *link) { l.parent++ }, func(l *link) { l.kind = "dummy" },
			} {
				h := whole()
				spoil(&h.links.pod)
				one("interface", h)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	base := firewall{ends: someNode(), forward: prefixes("10.96.0.0/12", "fd00::/108")}
	same := firewall{ends: someNode(), forward: prefixes("fd00::/108", "10.96.0.0/12", "10.96.0.0/12")}
	if base.fingerprint() != same.fingerprint() {
		t.Error("order and repetition matter")
	}
	for _, other := range []firewall{
		{ends: nodeAddresses{ipv4: base.ends.ipv4}, forward: base.forward},
		{ends: base.ends, forward: base.forward[:1]},
	} {
		if other.fingerprint() == base.fingerprint() {
			t.Errorf("%v has the fingerprint of %v", other, base)
		}
	}
}

func TestRefusedNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "lo", "all", "default", "host0", "abcdefghijklmnop"} {
		e := endpoints()["ipv4"]
		e.Name = name
		if e.validate() == nil {
			t.Errorf("an interface may be called %q", name)
		}
	}
	e := endpoints()["ipv4"]
	if err := e.validate(); err != nil {
		t.Error(err)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// body is what the kernel gets of a message behind its header, which is also how it writes the same thing in a list.
func body(m *message) []byte { return m.Serialize()[unix.SizeofNlMsghdr:] }

func drawAddress(t *rapid.T, is6 bool) netip.Addr {
	n := 4
	if is6 {
		n = 16
	}
	b := rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address")
	b[0] = 0x20 // neither unspecified nor IPv4 in IPv6
	a, _ := netip.AddrFromSlice(b)
	return a
}

func drawPrefix(t *rapid.T, is6 bool) netip.Prefix {
	a := drawAddress(t, is6)
	return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
}

func drawIndex(t *rapid.T) int { return rapid.IntRange(1, 1<<22).Draw(t, "index") }

// TestMessagesReadBack reads each kind of message back as the kernel lists it.
func TestMessagesReadBack(t *testing.T) {
	equal := cmp.AllowUnexported(route{}, rule{}, neighbour{}, address{}, netip.Addr{})
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	rapid.Check(t, func(t *rapid.T) {
		is6 := rapid.Bool().Draw(t, "is6")
		r := route{destination: drawPrefix(t, is6).Masked(), table: drawIndex(t), metric: drawIndex(t), index: drawIndex(t), onlink: rapid.Bool().Draw(t, "onlink")}
		if r.destination.Bits() == 0 {
			r.destination = netip.PrefixFrom(zero(r.destination.Addr()), 0)
		}
		if rapid.Bool().Draw(t, "via") {
			r.via = drawAddress(t, is6)
		}
		if rapid.Bool().Draw(t, "source") {
			r.source = drawAddress(t, is6)
		}
		got, ok, err := parseRoute(body(setRoute(r)))
		if diff := cmp.Diff(r, got, equal, same, prefixes); err != nil || !ok || diff != "" {
			t.Errorf("route %v, %v\n%s", ok, err, diff)
		}

		u := rule{family: familyOf(drawAddress(t, is6)), priority: drawIndex(t), table: drawIndex(t)}
		if rapid.Bool().Draw(t, "from") {
			u.from = drawAddress(t, is6)
		}
		gotRule, err := parseRule(body(addRule(u)))
		if diff := cmp.Diff(u, gotRule, equal, same); err != nil || diff != "" {
			t.Errorf("rule: %v\n%s", err, diff)
		}

		s := shaper{index: drawIndex(t), rate: rapid.Uint64Range(1, 1<<40).Draw(t, "rate"), queue: uint32(drawIndex(t))}
		gotShaper, ok, err := parseShaper(body(setShaper(s)))
		if err != nil || !ok || gotShaper != s {
			t.Errorf("queue %v, %v, %v; want %v", gotShaper, ok, err, s)
		}

		f := filter{index: drawIndex(t), parent: outgoing, priority: rapid.Uint16().Draw(t, "priority"), handle: rapid.Uint32().Draw(t, "handle")}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			f.program = (&Endpoint{Addresses: []Address{{Prefix: drawPrefix(t, is6)}}}).sourceProgram()
		case 1:
			f.chain, f.program, f.next = uint32(drawIndex(t)), metadataGate(), uint32(drawIndex(t))
		case 2:
			f.chain, f.program, f.next = uint32(drawIndex(t)), metadataGate(), uint32(drawIndex(t)-1)
			f.action = rapid.SampledFrom([]string{actionTrack, actionSettle}).Draw(t, "action")
		case 3:
			f.chain, f.answers, f.redirect = uint32(drawIndex(t)), true, drawIndex(t)
		default:
			f = incomingFilter(f.index, drawIndex(t))
		}
		gotFilter, ok, err := parseFilter(body(setFilter(f)))
		if err != nil || !ok || gotFilter != f {
			t.Errorf("filter %+v, %v, %v; want %+v", gotFilter, ok, err, f)
		}

		mac := net.HardwareAddr(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "mac"))
		n := neighbour{address: drawAddress(t, is6), mac: mac.String(), index: drawIndex(t)}
		gotNeighbour, ok, err := parseNeighbour(body(setNeighbour(n, mac)))
		if diff := cmp.Diff(n, gotNeighbour, equal, same); err != nil || !ok || diff != "" {
			t.Errorf("neighbour %v, %v\n%s", ok, err, diff)
		}

		a := address{Prefix: drawPrefix(t, is6), index: drawIndex(t)}
		if is6 {
			a.flags = unix.IFA_F_NODAD
		}
		gotAddress, err := parseAddress(body(addAddress(link{index: a.index}, a.Prefix)))
		if diff := cmp.Diff(a, gotAddress, equal, prefixes); err != nil || diff != "" {
			t.Errorf("address: %v\n%s", err, diff)
		}
	})
}

// TestIdentity holds names, MACs and numbers to what the kernel takes and to each other.
func TestIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Identity{Container: rapid.String().Draw(t, "container"), Name: rapid.StringMatching(`[a-z0-9]{1,15}`).Draw(t, "name")}
		b := Identity{Container: rapid.String().Draw(t, "other container"), Name: a.Name}
		if name := a.hostLeg(); len(name) != 15 || name[:len(LinkPrefix)] != LinkPrefix {
			t.Errorf("host leg %q", name)
		}
		node, pod := a.macs()
		for _, mac := range []net.HardwareAddr{node, pod} {
			if len(mac) != 6 || mac[0]&1 != 0 || mac[0]&2 == 0 {
				t.Errorf("MAC %s is not local and unicast", mac)
			}
		}
		if node.String() == pod.String() {
			t.Error("both ends have one MAC")
		}
		if i := a.index(); i < 1<<20 || i >= 1<<21 || a.hostLegTable() == i || a.index() != b.index() {
			t.Errorf("index %d, tables %d and %d", i, i, a.hostLegTable())
		}
		if a.Container != b.Container && (a.hostLeg() == b.hostLeg() || a.group() == b.group()) {
			t.Errorf("%q and %q share a name or a group", a.Container, b.Container)
		}
		last := len(a.Name) - 1
		sibling := Identity{Container: a.Container, Name: a.Name[:last] + rapid.StringMatching(`[a-z0-9]`).Draw(t, "last letter")}
		if sibling != a && (a.hostLeg() == sibling.hostLeg() || a.group() == sibling.group() || a.filterHandle() == sibling.filterHandle()) {
			t.Errorf("interfaces %s and %s of one pod share a name, a group or a filter", a.Name, sibling.Name)
		}
	})
}

// TestShortMessages gives the readers less than they expect.
func TestShortMessages(t *testing.T) {
	for n := range 12 {
		data := make([]byte, n)
		if _, err := parseLink(data); err == nil {
			t.Errorf("%d bytes are a link", n)
		}
		if _, _, err := parseRoute(data); err == nil {
			t.Errorf("%d bytes are a route", n)
		}
		if _, _, err := parseNeighbour(data); err == nil {
			t.Errorf("%d bytes are a neighbour", n)
		}
		if _, err := parseRule(data); err == nil {
			t.Errorf("%d bytes are a rule", n)
		}
		if _, _, err := parseShaper(data); err == nil {
			t.Errorf("%d bytes are a queue", n)
		}
		if _, _, err := parseFilter(data); err == nil {
			t.Errorf("%d bytes are a filter", n)
		}
		if _, err := parseAddress(data); err == nil {
			t.Errorf("%d bytes are an address", n)
		}
	}
}

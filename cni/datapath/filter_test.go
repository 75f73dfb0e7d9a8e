// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// runProgram runs a program, as the kernel does, on a frame.
func runProgram(t *testing.T, program string, frame []byte) int {
	t.Helper()
	vm, err := machine(program)
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func TestSourceProgram(t *testing.T) {
	own4, own6 := ipv4().Prefix.Addr(), ipv6().Prefix.Addr()
	neighbour4, neighbour6 := own4.Next(), own6.Next()
	otherSubnet := netip.MustParseAddr("2406:da1e:c4:ed02:c57d::1")
	both, only4, only6 := []Address{ipv4(), ipv6()}, []Address{ipv4()}, []Address{ipv6()}
	ip4 := func(a netip.Addr) []byte { return ethernet(unix.ETH_P_IP, 20, map[int][]byte{12: a.AsSlice()}) }
	ip6 := func(a netip.Addr) []byte {
		return ethernet(unix.ETH_P_IPV6, 60, map[int][]byte{6: {6}, 8: a.AsSlice()})
	}
	arp := func(a netip.Addr) []byte { return ethernet(unix.ETH_P_ARP, 28, map[int][]byte{14: a.AsSlice()}) }
	icmp := func(source netip.Addr, kind byte, target netip.Addr) []byte {
		return ethernet(unix.ETH_P_IPV6, 64, map[int][]byte{6: {58}, 8: source.AsSlice(), 40: {kind}, 48: target.AsSlice()})
	}
	// behind puts a header of options, with a number that says what comes next, between that of IPv6 and the message.
	behind := func(options, next, inner byte, source, target netip.Addr) []byte {
		return ethernet(unix.ETH_P_IPV6, 80, map[int][]byte{6: {options}, 8: source.AsSlice(), 40: {next}, 48: {inner}, 56: target.AsSlice()})
	}
	const hopByHop, routing, destination, tcp, icmpv6 = 0, 43, 60, 6, 58
	for _, c := range []struct {
		name  string
		has   []Address
		frame []byte
		want  int
	}{
		{"own IPv4", both, ip4(own4), pass},
		{"neighbour's IPv4", both, ip4(neighbour4), drop},
		{"no IPv4", both, ip4(netip.IPv4Unspecified()), drop},
		{"own IPv6", both, ip6(own6), pass},
		{"neighbour's IPv6", both, ip6(neighbour6), drop},
		{"another subnet's IPv6", both, ip6(otherSubnet), drop},
		{"link-local", both, ip6(netip.MustParseAddr("fe80::1")), drop},
		{"own ARP", both, arp(own4), pass},
		{"neighbour's ARP", both, arp(neighbour4), drop},
		{"solicitation of a neighbour", both, icmp(own6, 135, neighbour6), pass},
		{"advertisement", both, icmp(own6, 136, own6), pass},
		{"advertisement of a neighbour", both, icmp(own6, 136, neighbour6), drop},
		{"advertisement of a neighbour behind options", both, behind(destination, icmpv6, 136, own6, neighbour6), drop},
		{"advertisement of a neighbour behind options for each hop", both, behind(hopByHop, icmpv6, 136, own6, neighbour6), drop},
		{"advertisement of a neighbour behind a route", both, behind(routing, icmpv6, 136, own6, neighbour6), drop},
		{"options behind options", both, behind(destination, destination, icmpv6, own6, neighbour6), drop},
		{"TCP behind options", both, behind(destination, tcp, 136, own6, neighbour6), pass},
		{"neighbour's TCP behind options", both, behind(destination, tcp, 136, neighbour6, own6), drop},
		{"echo", both, icmp(own6, 128, neighbour6), pass},
		{"IPv4 alone sends IPv4", only4, ip4(own4), pass},
		{"IPv4 alone sends ARP", only4, arp(own4), pass},
		{"IPv4 alone sends IPv6", only4, ip6(own6), drop},
		{"IPv6 alone sends IPv6", only6, ip6(own6), pass},
		{"IPv6 alone sends IPv4", only6, ip4(own4), drop},
		{"IPv6 alone sends ARP", only6, arp(own4), drop},
		{"VLAN", both, ethernet(unix.ETH_P_8021Q, 40, nil), drop},
		{"LLDP", both, ethernet(0x88cc, 40, nil), drop},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := runProgram(t, (&Endpoint{Addresses: c.has}).sourceProgram(), c.frame); got != c.want {
				t.Errorf("verdict %d, want %d", got, c.want)
			}
		})
	}
}

func TestMetadataPrograms(t *testing.T) {
	own4, own6 := ipv4().Prefix.Addr(), ipv6().Prefix.Addr()
	service4, service6 := metadataServices()
	ip4 := func(from, to netip.Addr) []byte {
		return ethernet(unix.ETH_P_IP, 20, map[int][]byte{12: from.AsSlice(), 16: to.AsSlice()})
	}
	ip6 := func(from, to netip.Addr) []byte {
		return ethernet(unix.ETH_P_IPV6, 40, map[int][]byte{8: from.AsSlice(), 24: to.AsSlice()})
	}
	const no, yes = 0, 1<<32 - 1
	for _, c := range []struct {
		name      string
		frame     []byte
		gate, pod int
	}{
		{"IPv4", ip4(own4, service4), yes, drop},
		{"IPv6", ip6(own6, service6), yes, drop},
		{"another's IPv4", ip4(own4.Next(), service4), yes, undecided},
		{"another's IPv6", ip6(own6.Next(), service6), yes, undecided},
		{"IPv4 elsewhere", ip4(own4, service4.Next()), no, undecided},
		{"IPv6 elsewhere", ip6(own6, service6.Next()), no, undecided},
		{"ARP", ethernet(unix.ETH_P_ARP, 28, map[int][]byte{14: own4.AsSlice(), 16: service4.AsSlice()}), no, undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := runProgram(t, metadataGate(), c.frame); got != c.gate {
				t.Errorf("the gate says %d, want %d", got, c.gate)
			}
			e := Endpoint{Addresses: []Address{ipv4(), ipv6()}}
			if got := runProgram(t, e.metadataProgram(), c.frame); got != c.pod {
				t.Errorf("the pod's filter says %d, want %d", got, c.pod)
			}
		})
	}
}

// TestFiltersOfOtherVersions: what an earlier version of the plugin has set is accepted where it does the same.
func TestFiltersOfOtherVersions(t *testing.T) {
	e := &Endpoint{Identity: Identity{Container: "a", Name: "eth0"}, Addresses: []Address{ipv4(), ipv6()}, BlockMetadata: true}
	own4, own6 := ipv4().Prefix.Addr(), ipv6().Prefix.Addr()
	// earlier is the first version's: advertisements behind options were let out.
	earlier := func(own4, own6 netip.Addr) string {
		p := program{ipv4: checks(nil).is(own4, sourceIPv4), arp: checks(nil).is(own4, senderARP)}
		p.ipv6 = p.ipv6.is(own6, sourceIPv6).orNot(nextHeader, unix.IPPROTO_ICMPV6).orNot(messageICMPv6, 136).is(own6, neighbourTarget)
		return p.assemble(pass, drop)
	}
	var w want
	e.wantFilters(&w, links{pod: link{index: 7}})
	source, shared := w.filters[0], e.metadataFilters(5)
	gate, metadata := shared[2], shared[3]
	with := func(f filter, change func(f *filter)) filter {
		change(&f)
		return f
	}
	for _, c := range []struct {
		name   string
		wanted filter
		found  []filter
		says   string
	}{
		{"the same", source, []filter{source}, ""},
		{"none", source, nil, "is missing"},
		{"an earlier version's", source, []filter{with(source, func(f *filter) { f.program = earlier(own4, own6) })}, ""},
		{"of another address", source, []filter{with(source, func(f *filter) { f.program = earlier(own4.Next(), own6) })}, "does not do what it should"},
		{"of another address of IPv6", source, []filter{with(source, func(f *filter) { f.program = earlier(own4, own6.Next()) })}, "does not do what it should"},
		{"open to all", source, []filter{with(source, func(f *filter) { f.program = everything() })}, "does not do what it should"},
		{"on another link", source, []filter{with(source, func(f *filter) { f.index++ })}, "is missing"},
		{"no program of ours", source, []filter{with(source, func(f *filter) { f.program = "" })}, "is missing"},
		{"half a program", source, []filter{with(source, func(f *filter) { f.program = "12345" })}, "does not do what it should"},
		{"an earlier version's, of the node", gate, []filter{with(gate, func(f *filter) { f.program, f.handle = everything(), 1 })}, ""},
		{"none of the node", gate, []filter{metadata, shared[0]}, "is missing"},
		{"of the metadata service, open to all", metadata, []filter{with(metadata, func(f *filter) { f.program = packets() })}, "does not do what it should"},
		{"of the metadata service, of another pod", metadata, []filter{with(metadata, func(f *filter) { f.handle++ })}, "is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told comparison
			told.filter(e, c.wanted, c.found)
			if got := strings.Join(told.differences, "; "); !strings.HasSuffix(got, c.says) || (got == "") != (c.says == "") {
				t.Errorf("it says %q, want %q", got, c.says)
			}
		})
	}
}

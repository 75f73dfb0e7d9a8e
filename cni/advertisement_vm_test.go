// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// declaredIPv6 is as declaredIPv4.
const declaredIPv6 = 0xdd86

// strayMAC is nobody's.
func strayMAC() net.HardwareAddr { return net.HardwareAddr{0x5e, 0, 0, 0, 0, 0x99} }

// advertisement is a frame from a link that tells a neighbour on the same interface that target is at strayMAC. A header of the kind next may stand ahead
// of the message.
func advertisement(l netlink.Link, source, to, target netip.Addr, next byte, ahead ...byte) []byte {
	message := slices.Concat([]byte{136, 0, 0, 0, 0x60, 0, 0, 0}, target.AsSlice(), []byte{2, 1}, strayMAC()) // solicited, to override
	pseudo := slices.Concat(source.AsSlice(), to.AsSlice(), []byte{0, 0, 0, byte(len(message)), 0, 0, 0, unix.IPPROTO_ICMPV6}, message)
	sum := uint32(0)
	for i := 0; i < len(pseudo); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(pseudo[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum+sum>>16))
	header := []byte{0x60, 0, 0, 0, 0, byte(len(ahead) + len(message)), next, 255}
	mac := l.Attrs().HardwareAddr
	return slices.Concat(mac, mac, []byte{0x86, 0xdd}, header, source.AsSlice(), to.AsSlice(), ahead, message)
}

// TestNeighboursAdvertisement has a pod say that another's address is elsewhere: nobody on its interface believes it, until its filter is gone.
func TestNeighboursAdvertisement(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	p, sibling, victim := n.addPod(t, "ens6"), n.addPod(t, "ens6"), n.addPod(t, "ens6")
	links := handle(t, p.Namespace)
	eth0, err := links.LinkByName("eth0")
	must(t, err)
	believes := func(t *testing.T, timeout time.Duration, next byte, ahead ...byte) bool {
		t.Helper()
		must(t, probe.Ping(sibling.Namespace, sibling.v6, victim.v6, small, probe.Timeout)) // and mends what was believed before
		for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			p.sendFrame(t, eth0, declaredIPv6, advertisement(eth0, p.v6, sibling.v6, victim.v6, next, ahead...), false)
			list, err := handle(t, sibling.Namespace).NeighList(0, netlink.FAMILY_V6)
			must(t, err)
			i := slices.IndexFunc(list, func(n netlink.Neigh) bool { return n.IP.Equal(victim.v6.AsSlice()) })
			if i < 0 {
				t.Fatalf("%s is no neighbour", victim.v6)
			}
			if list[i].HardwareAddr.String() == strayMAC().String() {
				l, err := handle(t, sibling.Namespace).LinkByName("eth0")
				must(t, err)
				must(t, handle(t, sibling.Namespace).NeighDel(&netlink.Neigh{LinkIndex: l.Attrs().Index, IP: victim.v6.AsSlice()}))
				return true
			}
		}
		return false
	}
	const padding = 1
	cases := []struct {
		name  string
		next  byte
		ahead []byte
		never bool // nobody believes it, whatever the filter does
	}{
		{"plain", unix.IPPROTO_ICMPV6, nil, false},
		{"behind options", unix.IPPROTO_DSTOPTS, []byte{unix.IPPROTO_ICMPV6, 0, padding, 4, 0, 0, 0, 0}, false},
		{"in a fragment", unix.IPPROTO_FRAGMENT, []byte{unix.IPPROTO_ICMPV6, 0, 0, 0, 0, 0, 0, 1}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if believes(t, lost, c.next, c.ahead...) {
				t.Errorf("%s is at %s now, a pod said", victim.v6, strayMAC())
			}
		})
	}
	deleteClsact(t, links, eth0)
	for _, c := range cases {
		timeout := probe.Timeout
		if c.never {
			timeout = lost
		}
		if believes(t, timeout, c.next, c.ahead...) == c.never {
			t.Errorf("%s: without the filter it is believed: %v", c.name, c.never)
		}
	}
}

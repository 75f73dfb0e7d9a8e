// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package vpc

import (
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// TestACLAgainstEveryPacket: where Lets says that nothing passes, none of all packets of a small world does; where it says
// that something may, one does, unless several entries deny it together.
func TestACLAgainstEveryPacket(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	blocked, passing := 0, 0
	for range 20000 {
		acl, traffic, others := anyACL(random), anyTraffic(random), anyRanges(random)
		lets, passes := acl.Lets(true, traffic, others), somePacket(acl, traffic, others)
		switch {
		case passes && !lets:
			t.Fatalf("%+v lets %+v to %v pass, but we say that it does not", acl, traffic, others)
		case !lets:
			blocked++
		case passes:
			passing++
		}
	}
	if blocked < 1000 || passing < 1000 {
		t.Errorf("the packets are too much alike: %d are blocked, and %d pass", blocked, passing)
	}
}

// The world has eight addresses and eight ports of two protocols, and one protocol without.
const ports, addresses = 8, 8

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }

func anyACL(random *rand.Rand) *NetworkACL {
	acl := &NetworkACL{}
	for range random.IntN(6) {
		e := ACLEntry{Number: random.IntN(100), Egress: random.IntN(4) > 0, Action: []string{"allow", "deny"}[random.IntN(2)],
			Protocol: []string{"-1", "6", "17", "1"}[random.IntN(4)]}
		e.IPv4 = netip.PrefixFrom(address(random.IntN(addresses)), 29+random.IntN(4)).Masked()
		if e.Protocol != "-1" && e.Protocol != "1" && random.IntN(2) == 0 {
			first := 1 + random.IntN(ports)
			e.Ports = &struct {
				From int `json:"From"`
				To   int `json:"To"`
			}{first, first + random.IntN(ports)}
		}
		acl.Entries = append(acl.Entries, e)
	}
	return acl
}

func anyTraffic(random *rand.Rand) Traffic {
	t := Traffic{Protocol: []string{"", "tcp", "udp"}[random.IntN(3)]}
	if t.Protocol != "" && random.IntN(2) == 0 {
		t.First = 1 + random.IntN(ports)
		t.Last = t.First + random.IntN(ports)
	}
	return t
}

func anyRanges(random *rand.Rand) []iprange.Range {
	first := random.IntN(addresses)
	return []iprange.Range{{First: address(first), Last: address(first + random.IntN(addresses-first))}}
}

// somePacket tries them all, as EC2 would: the entry of the lowest number that matches decides.
func somePacket(acl *NetworkACL, traffic Traffic, others []iprange.Range) bool {
	for _, protocol := range []string{"6", "17", "1"} {
		if traffic.Protocol != "" && number(traffic.Protocol) != protocol {
			continue
		}
		for port := 1; port <= 2*ports; port++ {
			if traffic.Last != 0 && (port < traffic.First || port > traffic.Last) {
				continue
			}
			for i := range addresses {
				if iprange.Contains(others, address(i)) && passes(acl, protocol, port, address(i)) {
					return true
				}
			}
		}
	}
	return false
}

func passes(acl *NetworkACL, protocol string, port int, to netip.Addr) bool {
	best := -1
	for i, e := range acl.Entries {
		matches := e.Egress && e.IPv4.Contains(to) && (e.Protocol == "-1" || e.Protocol == protocol) &&
			(e.Ports == nil || e.Ports.From <= port && port <= e.Ports.To)
		if matches && (best < 0 || e.Number < acl.Entries[best].Number) {
			best = i
		}
	}
	return best >= 0 && acl.Entries[best].Action == "allow"
}

func TestPortRange(t *testing.T) {
	for want, traffic := range map[string]Traffic{"53": {"udp", 53, 53}, "1024-65535": {"tcp", 1024, 65535}} {
		if got := traffic.PortRange(); got != want {
			t.Errorf("%+v prints as %s", traffic, strconv.Quote(got))
		}
	}
}

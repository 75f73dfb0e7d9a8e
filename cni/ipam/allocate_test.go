// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// Fresh addresses, then the least recently used, none before it has rested.
func TestOrder(t *testing.T) {
	scenarios{
		"fresh addresses come in order": {ipv4(), func(w *world) {
			w.want(w.add("a"), "10.0.1.0")
			w.want(w.add("b"), "10.0.1.1")
		}},
		"one address of each family": {dual(), func(w *world) {
			w.want(w.add("a"), "10.0.1.0,fd00::10")
			w.want(w.add("b"), "10.0.1.1,fd00::11")
		}},
		"one family alone on request": {dual(), func(w *world) {
			r := request("a")
			r.Families = []nodefile.Family{nodefile.IPv6}
			w.want(w.addRequest(r), "fd00::10")
			w.want(w.add("b"), "10.0.1.0,fd00::11")
		}},
		"ADD twice gives the same addresses": {dual(), func(w *world) {
			w.want(w.add("a"), "10.0.1.0,fd00::10")
			w.want(w.add("a"), "10.0.1.0,fd00::10")
			w.want(w.add("b"), "10.0.1.1,fd00::11")
		}},
		"two interfaces of a pod have different addresses": {ipv4(), func(w *world) {
			w.want(w.add("a"), "10.0.1.0")
			r := request("a")
			r.Owner.IfName = "net1"
			w.want(w.addRequest(r), "10.0.1.1")
		}},
		"fresh addresses come before released ones": {ipv4(), func(w *world) {
			w.add("a")
			w.del("a")
			w.now += time.Hour
			w.want(w.add("b"), "10.0.1.1")
		}},
		"the address released first comes first": {ipv4(), func(w *world) {
			for _, id := range []string{"a", "b", "c", "d"} {
				w.add(id)
			}
			for _, id := range []string{"c", "a", "d", "b"} {
				w.del(id)
				w.now += time.Second
			}
			w.now += time.Minute
			for _, want := range []string{"10.0.1.2", "10.0.1.0", "10.0.1.3", "10.0.1.1"} {
				w.want(w.add(want), want)
			}
		}},
		"a released address rests for the cooldown": {oneNode(onePool(nodefile.IPv4, "10.0.1.8")), func(w *world) {
			w.want(w.add("a"), "10.0.1.8")
			w.del("a")
			w.now += 29 * time.Second
			w.wantPart(w.add("b"), "1 addresses, 0 held, 1 cooling", "rested in 1s")
			w.now += time.Second
			w.want(w.add("b"), "10.0.1.8")
		}},
		"a changed cooldown counts at once": {oneNode(onePool(nodefile.IPv4, "10.0.1.8")), func(w *world) {
			w.add("a")
			w.del("a")
			w.node.Networks[0].CooldownSeconds = 0
			w.want(w.add("b"), "10.0.1.8")
		}},
		"reserved addresses are nobody's": {oneNode(onePool(nodefile.IPv4, "10.0.0.0-10.0.0.4", "10.0.255.255")), func(w *world) {
			w.node.Node.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.3")} // 10.0.0.1 is the gateway
			w.want(w.add("a"), "10.0.0.2")
			w.want(w.add("b"), "10.0.0.4")
			w.wantPart(w.add("c"), "2 addresses, 2 held")
		}},
	}.run(t)
}

// Exclusion, draining, disabling, removal and renaming count from the next ADD on, and releases go on.
func TestPoolsThatChange(t *testing.T) {
	scenarios{
		"excluded addresses come back when they are no longer excluded": {ipv4(), func(w *world) {
			w.pool(0).Exclude = mustRanges("10.0.1.0-10.0.1.1")
			w.want(w.add("a"), "10.0.1.2")
			w.want(w.add("b"), "10.0.1.3")
			w.pool(0).Exclude = nil
			w.want(w.add("c"), "10.0.1.0")
		}},
		"a draining range hands out nothing and takes back": {ipv4(), func(w *world) {
			w.add("a")
			w.pool(0).Draining = mustRanges("10.0.1.0/31")
			w.want(w.add("b"), "10.0.1.2")
			w.del("a")
			w.want(w.add("c"), "10.0.1.3")
			w.now += time.Hour
			w.wantPart(w.add("d"), "4 addresses, 2 held, 2 draining")
			w.pool(0).Draining = nil
			w.want(w.add("d"), "10.0.1.0")
		}},
		"a disabled pool hands out nothing and takes back": {ipv4(), func(w *world) {
			w.add("a")
			w.pool(0).Allocation = nodefile.AllocationDisabled
			w.wantPart(w.add("b"), "pool net.0.v4.node (eni-0a): 4 addresses, 1 held, and the pool is disabled")
			w.want(w.add("a"), "10.0.1.0")
			w.del("a")
			w.pool(0).Allocation = nodefile.AllocationEnabled
			w.want(w.add("b"), "10.0.1.1")
		}},
		"a range that was removed hands out nothing": {oneNode(onePool(nodefile.IPv4, "10.0.1.0/31", "10.0.2.0/31")), func(w *world) {
			w.add("a")
			w.del("a")
			w.now += time.Hour
			w.pool(0).Ranges = mustRanges("10.0.2.0/31")
			w.want(w.add("b"), "10.0.2.0")
			w.want(w.add("c"), "10.0.2.1")
			w.wantPart(w.add("d"), "2 addresses, 2 held")
		}},
		"a range that comes back has not forgotten its cooldown": {oneNode(onePool(nodefile.IPv4, "10.0.1.8", "10.0.2.8")), func(w *world) {
			w.want(w.add("a"), "10.0.1.8")
			w.del("a")
			w.pool(0).Ranges = mustRanges("10.0.2.8")
			w.want(w.add("b"), "10.0.2.8")
			w.pool(0).Ranges = mustRanges("10.0.1.8")
			w.wantPart(w.add("c"), "1 cooling")
			w.now += 30 * time.Second
			w.want(w.add("c"), "10.0.1.8")
		}},
		"a pool under a new name has its addresses": {oneNode(onePool(nodefile.IPv4, "10.0.1.0/31")), func(w *world) {
			w.add("a")
			w.add("b")
			w.del("a")
			w.pool(0).Name = "renamed"
			w.wantPart(w.add("c"), "pool renamed (eni-0a): 2 addresses, 1 held, 1 cooling")
			w.now += 30 * time.Second
			w.want(w.add("c"), "10.0.1.0")
			w.del("b")
			w.now += 30 * time.Second
			w.want(w.add("d"), "10.0.1.1")
		}},
		"an address that moved to another interface": {twoInterfaces(false), func(w *world) {
			for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				w.add(id)
			}
			w.del("a") // 10.0.1.0
			w.pool(0).Ranges, w.pool(1).Ranges = mustRanges("10.0.1.1-10.0.1.3"), mustRanges("10.0.1.0", "10.0.2.0/30")
			w.wantPart(w.add("i"), "pool net.1.v4.node (eni-0b): 5 addresses, 4 held, 1 cooling")
			w.now += 30 * time.Second
			w.want(w.add("i"), "10.0.1.0")
		}},
	}.run(t)
}

// The interface with most room is chosen, and all families are of one interface.
func TestInterfaces(t *testing.T) {
	scenarios{
		"the interface with most room comes first": {twoInterfaces(false), func(w *world) {
			w.want(w.add("a"), "10.0.1.0")
			w.want(w.add("b"), "10.0.2.0")
			w.want(w.add("c"), "10.0.1.1")
			w.pool(0).Ranges = append(w.pool(0).Ranges, mustRanges("10.0.1.8/30")...)
			w.want(w.add("d"), "10.0.1.2")
			w.want(w.add("e"), "10.0.1.3")
		}},
		"held addresses in a draining range take no room": {twoInterfaces(false), func(w *world) {
			w.pool(0).Ranges = mustRanges("10.0.1.0/29")
			for _, id := range []string{"a", "b", "c", "d"} {
				w.add(id) // all of the first interface, which has room for four more than the second
			}
			w.pool(0).Draining = mustRanges("10.0.1.0/30")
			w.pool(1).Exclude = mustRanges("10.0.2.3")
			w.want(w.add("e"), "10.0.1.4") // room for four against three
		}},
		"a full interface gives way to the next": {twoInterfaces(false), func(w *world) {
			w.pool(0).Ranges = mustRanges("10.0.1.0/28")
			w.pool(0).Exclude = mustRanges("10.0.1.2/31", "10.0.1.4-10.0.1.15")
			w.pool(1).Exclude = mustRanges("10.0.2.1-10.0.2.3")
			w.want(w.add("a"), "10.0.1.0")
			w.want(w.add("b"), "10.0.1.1")
			w.want(w.add("c"), "10.0.2.0")
			w.wantPart(w.add("d"), "pool net.0.v4.node (eni-0a): 2 addresses, 2 held; pool net.1.v4.node (eni-0b): 1 addresses, 1 held")
		}},
		"cooling addresses do not hide another interface": {twoInterfaces(false), func(w *world) {
			w.pool(0).Ranges = mustRanges("10.0.1.0/31")
			w.pool(1).Ranges = mustRanges("10.0.2.0/31")
			w.add("a")
			w.add("b")
			w.add("c")
			w.del("a", "c") // the first interface has room for two, and nothing that has rested
			w.want(w.add("d"), "10.0.2.1")
		}},
		"both families are of one interface": {twoInterfaces(true), func(w *world) {
			w.want(w.add("a"), "10.0.2.0,fd00::10")
			w.pool(1).Allocation = nodefile.AllocationDisabled
			got := w.add("b")
			w.wantPart(got, "pool net.1.v4.node (eni-0b): 4 addresses, 1 held, and the pool is disabled")
			if strings.Contains(got, "eni-0a") {
				w.Errorf("%q names an interface that has no IPv6", got)
			}
		}},
		"no interface has both families": {twoInterfaces(true), func(w *world) {
			w.pool(2).Interface = nodefile.Interface{ID: "eni-0c", MAC: "02:00:00:00:00:03", DeviceIndex: 2}
			w.want(w.add("a"), "network net has no interface on node node with IPv4 and IPv6: eni-0a has IPv4 alone, eni-0b has IPv4 alone, eni-0c has IPv6 alone; "+
				"a pod's addresses are all of one interface")
		}},
		"one family that is exhausted gives back the other": {dual(), func(w *world) {
			w.pool(1).Ranges = mustRanges("fd00::10")
			w.want(w.add("a"), "10.0.1.0,fd00::10")
			w.wantPart(w.add("b"), "pool net.0.v6.node (eni-0a): 1 addresses, 1 held")
			w.pool(1).Ranges = mustRanges("fd00::10/127")
			w.want(w.add("b"), "10.0.1.1,fd00::11")
		}},
		"an interface that the machine does not have": {twoInterfaces(false), func(w *world) {
			r := request("a")
			r.Missing = func(mac string) error {
				if mac == "02:00:00:00:00:02" {
					return nil
				}
				return errors.New("it was detached")
			}
			w.want(w.addRequest(r), "10.0.2.0")
			r = request("b")
			r.Missing = func(mac string) error { return errors.New(mac + " was detached") }
			w.wantPart(w.addRequest(r), "eni-0a: 02:00:00:00:00:01 was detached; eni-0b: 02:00:00:00:00:02 was detached; `kubectl underlay check`")
		}},
	}.run(t)
}

// Errors name the pool, the node and the numbers.
func TestRefusals(t *testing.T) {
	scenarios{
		"a network that the node does not carry": {ipv4(), func(w *world) {
			r := request("a")
			r.Network = "other"
			w.wantPart(w.addRequest(r), "node node does not carry network other")
			w.node.Pools = nil
			w.wantPart(w.add("a"), "network net has no pool on node node")
		}},
		"the same container asks for another network": {ipv4(), func(w *world) {
			other := w.node.Networks[0]
			other.Name = "other"
			w.node.Networks = append(w.node.Networks, other)
			w.add("a")
			r := request("a")
			r.Network = "other"
			w.wantPart(w.addRequest(r), "container a has addresses of network net on interface eth0 already")
		}},
		"the second ADD after the pool went away": {ipv4(), func(w *world) {
			w.add("a")
			w.node.Pools = nil
			w.wantPart(w.add("a"), "container a has address 10.0.1.0 of pool net.0.v4.node, which is no longer on node node: it must be deleted first")
		}},
		"a namespace that may not": {ipv4(), func(w *world) {
			w.node.Networks[0].AllowedNamespaces = []string{"kube-system"}
			w.want(w.add("a"), `network net does not allow pods of namespace "default" (spec.allowedNamespaces of the UnderlayNetwork)`)
			r := request("a")
			r.Pod.Namespace = "kube-system"
			w.want(w.addRequest(r), "10.0.1.0")
		}},
		"bad names": {ipv4(), func(w *world) {
			for _, o := range []Owner{{"", "eth0"}, {"a", ""}, {"a", "eth0\x00"}, {"a", "eth0/1"}, {"a", "sixteen-bytes-if"}, {foundPrefix + "1", "eth0"}, {strings.Repeat("a", 2000), "eth0"}} {
				r := request("a")
				r.Owner = o
				w.wantPart(w.addRequest(r), "must be one that")
			}
		}},
	}.run(t)
}

func TestRequestedAddresses(t *testing.T) {
	scenarios{
		"the address asked for": {dual(), func(w *world) {
			w.want(w.add("a", "10.0.1.2"), "10.0.1.2,fd00::10")
			w.want(w.add("b", "fd00::13", "10.0.1.0"), "10.0.1.0,fd00::13")
			w.want(w.add("a", "10.0.1.2"), "10.0.1.2,fd00::10")
		}},
		"not where the network denies it": {dual(), func(w *world) {
			w.node.Networks[0].RequestedIPs = nodefile.RequestedIPsDeny
			w.want(w.add("a", "10.0.1.2"), "network net does not let pods ask for an address (spec.requestedIPs of the UnderlayNetwork is Deny)")
		}},
		"held by another": {dual(), func(w *world) {
			w.add("a", "10.0.1.2")
			w.want(w.add("b", "10.0.1.2"), "requested address 10.0.1.2 is held by pod default/pod-a (eth0)")
			w.want(w.add("b"), "10.0.1.0,fd00::11") // nothing was kept of the failed try
		}},
		"resting": {dual(), func(w *world) {
			w.add("a", "10.0.1.2")
			w.del("a")
			w.now += 10 * time.Second
			w.want(w.add("b", "10.0.1.2"), "requested address 10.0.1.2 was released 10s ago and rests for 20s more")
			w.now += 20 * time.Second
			w.want(w.add("b", "10.0.1.2"), "10.0.1.2,fd00::11")
		}},
		"of the second interface": {twoInterfaces(false), func(w *world) {
			w.want(w.add("a", "10.0.2.3"), "10.0.2.3")
		}},
		"of two interfaces": {twoInterfaces(true), func(w *world) {
			w.wantPart(w.add("a", "10.0.1.1", "fd00::11"), "no interface of network net on node node has all of the requested addresses 10.0.1.1 and fd00::11")
		}},
		"of no pool": {ipv4(), func(w *world) {
			w.wantPart(w.add("a", "10.0.9.9"), "has all of the requested addresses 10.0.9.9")
		}},
		"excluded": {ipv4(), func(w *world) {
			w.pool(0).Exclude = mustRanges("10.0.1.2")
			w.wantPart(w.add("a", "10.0.1.2"), "10.0.1.2 is excluded, draining or reserved in pool net.0.v4.node")
		}},
		"two of one family": {ipv4(), func(w *world) {
			w.wantPart(w.add("a", "10.0.1.2", "10.0.1.3"), "one of each family at most")
		}},
		"in quarantine": {ipv4(), func(w *world) {
			w.add("a", "10.0.1.2")
			w.store(func(s *Store) {
				if _, err := s.Replace(w.node, request("a"), netip.MustParseAddr("10.0.1.2")); err != nil {
					w.Error(err)
				}
			})
			w.now += time.Minute
			w.want(w.add("b", "10.0.1.2"), "requested address 10.0.1.2 is used by something else on this node, and is tried again in 4m0s")
			w.now += 4 * time.Minute
			w.want(w.add("b", "10.0.1.2"), "10.0.1.2")
		}},
		"no address at all": {ipv4(), func(w *world) {
			r := request("a")
			r.Wanted = []netip.Addr{{}}
			w.wantPart(w.addRequest(r), "must be a plain address")
		}},
	}.run(t)
}

func TestAllocationSaysAll(t *testing.T) {
	w := newWorld(t, dual())
	var first, second Allocation
	w.store(func(s *Store) {
		var err error
		if first, err = s.Allocate(w.node, request("a")); err != nil {
			t.Fatal(err)
		}
		w.now += time.Minute
		if second, err = s.Allocate(w.node, request("a")); err != nil {
			t.Fatal(err)
		}
	})
	want := Allocation{
		Record: Record{
			Owner:   Owner{"a", "eth0"},
			Network: "net",
			MAC:     "02:00:00:00:00:01",
			Leases:  []Lease{{netip.MustParseAddr("10.0.1.0"), "net.0.v4.node"}, {netip.MustParseAddr("fd00::10"), "net.0.v6.node"}},
			Pod:     Pod{"default", "pod-a", "uid-a"},
			Netns:   Netns{"/run/netns/a", 4026530000},
			Since:   time.Hour,
		},
		Interface: nodefile.Interface{ID: "eni-0a", MAC: "02:00:00:00:00:01"},
		Addresses: []Address{
			{netip.MustParsePrefix("10.0.1.0/16"), netip.MustParseAddr("10.0.0.1"), "net.0.v4.node"},
			{netip.MustParsePrefix("fd00::10/64"), netip.MustParseAddr("fe80:ec2::1"), "net.0.v6.node"},
		},
	}
	compare := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}
	if diff := cmp.Diff(want, first, compare); diff != "" {
		t.Errorf("first ADD (-want +got):\n%s", diff)
	}
	want.Again, want.Record.Since = true, time.Hour+time.Minute
	if diff := cmp.Diff(want, second, compare); diff != "" {
		t.Errorf("second ADD (-want +got):\n%s", diff)
	}
	w.store(func(s *Store) {
		got, known, err := s.Get(owner("a"))
		if diff := cmp.Diff(want.Record, got, compare); err != nil || !known || diff != "" {
			t.Errorf("record: %v (-want +got):\n%s", err, diff)
		}
	})
}

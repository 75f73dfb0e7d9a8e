// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package fabric_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// TestPodsReachEachOther pings with jumbo frames, in both families.
func TestPodsReachEachOther(t *testing.T) {
	v := newVPC(t)
	master, sibling := v.addPod(t, "master", 0), v.addPod(t, "master", 15)
	other, worker := v.addPod(t, "other", 0), v.addPod(t, "worker", 0)
	for name, pair := range map[string][2]pod{
		"on one ENI":               {master, sibling},
		"on two ENIs of a subnet":  {master, other},
		"across subnets":           {master, worker},
		"across subnets, and back": {worker, other},
	} {
		t.Run(name, func(t *testing.T) { v.wantPings(t, pair[0], pair[1]) })
	}
}

func TestUnboundSourceIsDropped(t *testing.T) {
	v := newVPC(t)
	prefixes := v.nodes["master"].eni.Bound
	worker := v.addPod(t, "worker", 0)
	// The first addresses after the ENI's prefixes: in its subnet, but nobody's in IPv6 and the other node's in IPv4.
	stranger := v.addPodWith(t, "master", &netlink.IPVlan{Mode: netlink.IPVLAN_MODE_L2}, nth(prefixes[0], 16),
		netip.MustParseAddr("2406:da1e:c4:ed01:c57f::"))
	v.wantAllDrops(t, fabric.WrongSource, stranger, worker)
	drops, err := v.DropsOf("eni-master")
	must(t, err)
	if drops[fabric.WrongSource] == 0 {
		t.Errorf("the ENI's own counters are %v, want %s among them", drops, fabric.WrongSource)
	}
}

func TestUnboundDestinationIsDropped(t *testing.T) {
	v := newVPC(t)
	master := v.addPod(t, "master", 0)
	// A pod that has the addresses, on an ENI that has not.
	stranger := v.addPodWith(t, "worker", &netlink.IPVlan{Mode: netlink.IPVLAN_MODE_L2},
		netip.MustParseAddr("172.31.32.99"), netip.MustParseAddr("2406:da1e:c4:ed02:99::"))
	v.wantAllDrops(t, fabric.UnboundDestination, master, stranger)
}

// TestMacvlanFails: its frames carry MACs that no ENI has. Without the filter the same pods reach each other.
func TestMacvlanFails(t *testing.T) {
	v := newVPC(t)
	macvlan := func(name string) pod {
		bound := v.nodes[name].eni.Bound
		return v.addPodWith(t, name, &netlink.Macvlan{Mode: netlink.MACVLAN_MODE_BRIDGE}, nth(bound[0], 0), nth(bound[1], 0))
	}
	master, worker := macvlan("master"), macvlan("worker")
	v.wantAllDrops(t, fabric.WrongMAC, master, worker)
	must(t, v.SetFilter(false))
	v.wantPings(t, master, worker)
	must(t, v.SetFilter(true))
	v.wantAllDrops(t, fabric.WrongMAC, master, worker)
}

func TestBindAndUnbind(t *testing.T) {
	v := newVPC(t)
	master, worker := v.addPod(t, "master", 0), v.addPod(t, "worker", 0)
	v.wantPings(t, master, worker)

	prefixes := v.nodes["master"].eni.Bound
	must(t, v.Unbind("eni-master", prefixes...))
	v.wantAllDrops(t, fabric.WrongSource, master, worker)
	v.wantAllDrops(t, fabric.UnboundDestination, worker, master)

	must(t, v.Bind("eni-master", prefixes...))
	v.wantPings(t, worker, master)
}

func TestDetach(t *testing.T) {
	v := newVPC(t)
	master, worker := v.addPod(t, "master", 0), v.addPod(t, "worker", 0)
	v.wantPings(t, master, worker)
	must(t, v.Detach("eni-worker"))
	links := handle(t, worker.Namespace)
	if _, err := links.LinkByName("eth0"); err == nil {
		t.Error("the pod still has its link, whose ENI is gone")
	}
	v.wantDrops(t, fabric.UnboundDestination, master.Namespace, master.v4, worker.v4)

	// The prefixes are free for another ENI.
	must(t, v.Bind("eni-other"))
	v.addNode(t, "replacement", v.nodes["worker"].subnet, 4, "172.31.32.176/28", "2406:da1e:c4:ed02:7a2e::/80")
	v.wantPings(t, v.addPod(t, "replacement", 0), master)
}

// TestEgress: IPv4 is seen as the NAT gateway, IPv6 as itself; by TCP more than the internet's MTU gets through, and
// nobody outside can begin.
func TestEgress(t *testing.T) {
	v := newVPC(t)
	worker := v.addPod(t, "worker", 0)
	for i, outside := range fabric.OutsideAddresses() {
		mirror, err := probe.Serve(v.Outside(), netip.AddrPortFrom(outside, 80))
		must(t, err)
		t.Cleanup(func() {
			if err := mirror.Close(); err != nil {
				t.Error(err)
			}
		})
		want := []netip.Addr{netip.MustParseAddr("203.0.113.1"), worker.v6}[i]
		for network, size := range map[string]int{"tcp": 100_000, "udp": 1000} {
			seen, err := probe.Ask(worker.Namespace, network, netip.Addr{}, netip.AddrPortFrom(outside, 80), size, probe.Timeout)
			if err != nil {
				t.Error(err)
			} else if seen.Addr() != want {
				t.Errorf("the outside sees %s by %s, want %s", seen.Addr(), network, want)
			}
		}
	}
	v.wantDrops(t, fabric.FromOutside, v.Outside(), netip.Addr{}, worker.v6)
}

func TestMulticastIsDropped(t *testing.T) {
	v := newVPC(t)
	master := v.addPod(t, "master", 0)
	for _, group := range []string{"224.0.0.251", "ff02::fb%eth0"} {
		before, err := v.DropsOf("eni-master")
		must(t, err)
		for deadline := time.Now().Add(probe.Timeout); ; {
			if err := probe.Ping(master.Namespace, netip.Addr{}, netip.MustParseAddr(group), 100, lost); err == nil {
				t.Errorf("%s answers", group)
			}
			after, err := v.DropsOf("eni-master")
			must(t, err)
			if after[fabric.Multicast] > before[fabric.Multicast] {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: dropped %v before, %v after, want more for %s", group, before, after, fabric.Multicast)
			}
		}
	}
}

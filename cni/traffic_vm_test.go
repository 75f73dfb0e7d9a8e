// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

const (
	small = 84 // bytes of an ordinary ping
	// lost is how long to wait for an answer that must not come; the counters prove why.
	lost = time.Second
)

// The walkthrough's cards. Both are also called ens7 with other prefixes, and ens8 and ens9 have one family.
func master() card { return card{"ens6", "a", "172.31.28.16/28", "2406:da1e:c4:ed01:c57d::/80"} }
func worker() card { return card{"ens6", "b", "172.31.32.176/28", "2406:da1e:c4:ed02:7a2e::/80"} }

// second is another interface of the master in the same subnet.
func second() card { return card{"ens7", "a", "172.31.28.32/28", "2406:da1e:c4:ed01:c57e::/80"} }

// primary is an interface for the node alone.
func primary(subnet string) card { return card{"ens5", subnet, "", ""} }

func TestFirstPacket(t *testing.T) {
	w := newWorld(t)
	one := w.addNode(t, "master", primary("a"), master()).addPod(t, "ens6")
	other := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	w.wantPings(t, one.end(), other.end(), small)
	w.wantPings(t, other.end(), one.end(), small)
	must(t, one.check(t))
	must(t, one.del())
	must(t, other.del())
	wantLinks(t, one.Namespace)
	wantLinks(t, one.node.Namespace, "ens5", "ens6")
	one.node.wantStore(t, 0)
}

// TestTraffic sends from everywhere to everywhere.
func TestTraffic(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master(), second(),
		card{"ens8", "a", "172.31.28.48/28", ""}, card{"ens9", "a", "", "2406:da1e:c4:ed01:c57f::/80"})
	k := w.addNode(t, "worker", primary("b"), worker(),
		card{"ens8", "b", "172.31.32.192/28", ""}, card{"ens9", "b", "", "2406:da1e:c4:ed02:7a2f::/80"})
	pods := map[string]end{}
	for name, p := range map[string]*pod{
		"pod": m.addPod(t, "ens6"), "sibling": m.addPod(t, "ens6"), "other-interface": m.addPod(t, "ens7"), "remote": k.addPod(t, "ens6"),
		"ipv4": m.addPod(t, "ens8"), "ipv4-remote": k.addPod(t, "ens8"), "ipv6": m.addPod(t, "ens9"), "ipv6-remote": k.addPod(t, "ens9"),
	} {
		must(t, p.check(t))
		pods[name] = p.end()
	}
	outside := end{name: "outside", v4: fabric.OutsideAddresses()[0], v6: fabric.OutsideAddresses()[1]}
	for _, c := range []struct {
		name     string
		from, to end
		size     int
	}{
		{"one node", pods["pod"], pods["sibling"], fabric.MTU},
		{"across nodes and subnets", pods["pod"], pods["remote"], fabric.MTU},
		{"across nodes and subnets, back", pods["remote"], pods["pod"], fabric.MTU},
		{"two interfaces in one subnet", pods["pod"], pods["other-interface"], fabric.MTU},
		{"pod to own host", pods["pod"], m.end(), fabric.MTU},
		{"pod to remote host", pods["pod"], k.end(), fabric.MTU},
		{"host to own pod", m.end(), pods["pod"], fabric.MTU},
		{"host to remote pod", m.end(), pods["remote"], fabric.MTU},
		{"egress", pods["pod"], outside, 1500},
		{"IPv4 alone, across nodes", pods["ipv4"], pods["ipv4-remote"], small},
		{"IPv4 alone, own host", pods["ipv4"], m.end(), small},
		{"IPv4 alone, from own host", m.end(), pods["ipv4"], small},
		{"IPv4 alone, egress", pods["ipv4"], outside, small},
		{"IPv6 alone, across nodes", pods["ipv6"], pods["ipv6-remote"], small},
		{"IPv6 alone, own host", pods["ipv6"], m.end(), small},
		{"IPv6 alone, from own host", m.end(), pods["ipv6"], small},
		{"IPv6 alone, egress", pods["ipv6"], outside, small},
		{"IPv4 alone to dual", pods["ipv4"], pods["remote"], small},
		{"dual to IPv6 alone", pods["remote"], pods["ipv6"], small},
	} {
		t.Run(c.name, func(t *testing.T) { w.wantPings(t, c.from, c.to, c.size) })
	}
	t.Run("egress is translated for IPv4 alone", func(t *testing.T) {
		for i, source := range []netip.Addr{pods["pod"].v4, pods["pod"].v6} {
			at := netip.AddrPortFrom(fabric.OutsideAddresses()[i], mirrorPort)
			mirror, err := probe.Serve(w.Outside(), at)
			must(t, err)
			t.Cleanup(func() { must(t, mirror.Close()) })
			seen, err := probe.Ask(pods["pod"].ns, "tcp", source, at, 64, probe.Timeout)
			must(t, err)
			if (seen.Addr() == source) != source.Is6() {
				t.Errorf("from %s the outside sees %s", source, seen)
			}
		}
	})
}

// TestUnboundAddress has a range in the node file that the cloud does not know.
func TestUnboundAddress(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Pools[0].Ranges[0] = iprange.FromPrefix(netip.MustParsePrefix("172.31.29.16/28"))
	n.write(t)
	p := n.addPod(t, "ens6")
	gateway := netip.MustParseAddr("172.31.16.1")
	drops := w.dropped(t, func() {
		if probe.Ping(p.Namespace, p.v4, gateway, small, lost) == nil {
			t.Errorf("%s is not bound, and reaches the router", p.v4)
		}
	})
	if drops[fabric.WrongSource] == 0 {
		t.Errorf("the fabric dropped %v, want wrong sources", drops)
	}
	if err := probe.Ping(p.Namespace, p.v6, fabric.OutsideAddresses()[1], small, probe.Timeout); err != nil {
		t.Errorf("the bound address of the same pod: %v", err)
	}
}

// TestMacvlan shows that the fabric is one on which macvlan fails, and that a card with macvlan is refused.
func TestMacvlan(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	links := n.handle(t)
	card, err := links.LinkByName("ens6")
	must(t, err)
	must(t, links.LinkSetUp(card))
	ns, err := netns.New()
	must(t, err)
	defer func() { must(t, ns.Close()) }()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = "eth0", card.Attrs().Index, netlink.NsFd(ns.FD())
	must(t, links.LinkAdd(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}))
	there := handle(t, ns)
	child, err := there.LinkByName("eth0")
	must(t, err)
	must(t, there.AddrAdd(child, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(172, 31, 28, 17), Mask: net.CIDRMask(20, 32)}}))
	must(t, there.LinkSetUp(child))
	drops := w.dropped(t, func() {
		if probe.Ping(ns, netip.MustParseAddr("172.31.28.17"), netip.MustParseAddr("172.31.16.1"), small, lost) == nil {
			t.Error("macvlan reaches the router")
		}
	})
	if drops[fabric.WrongMAC] == 0 {
		t.Errorf("the fabric dropped %v, want wrong MACs", drops)
	}
	p := n.newPod(t, "ens6")
	wantCode(t, p.add(t), cni.CodeInterface, "macvlan")
	n.wantStore(t, 0)
	wantLinks(t, p.Namespace)
	must(t, there.LinkDel(child))
	must(t, p.add(t)) // it recovers by itself
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// damage is what a case of TestCheck breaks: links of pod and node.
type damage struct {
	*testing.T
	pod       *pod
	here, its *netlink.Handle // the node's, the pod's
}

func (d damage) link(links *netlink.Handle, name string) netlink.Link {
	d.Helper()
	l, err := links.LinkByName(name)
	must(d.T, err)
	return l
}

func (d damage) hostLeg() netlink.Link {
	return d.link(d.here, d.pod.result.Interfaces[2].Name)
}

func (d damage) deleteRoutes(links *netlink.Handle, l netlink.Link, table int) {
	d.Helper()
	routes, err := links.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: l.Attrs().Index, Table: table}, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	must(d.T, err)
	for _, r := range routes {
		if r.Protocol != unix.RTPROT_KERNEL {
			must(d.T, links.RouteDel(&r))
		}
	}
}

// TestCheck breaks each kind of thing that ADD makes. CHECK names it, and ADD repairs it.
func TestCheck(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	for _, c := range []struct {
		name   string
		damage func(d damage)
		word   string
		final  bool // ADD does not repair it
	}{
		{"interface down", func(d damage) { must(d.T, d.its.LinkSetDown(d.link(d.its, "eth0"))) }, "eth0 is down", false},
		{"interface missing", func(d damage) { must(d.T, d.its.LinkDel(d.link(d.its, "eth0"))) }, "eth0 is missing", true},
		{"MTU", func(d damage) { must(d.T, d.its.LinkSetMTU(d.link(d.its, "eth0"), 1400)) }, "MTU 1400, and should have 9001", false},
		{"address missing", func(d damage) {
			must(d.T, d.its.AddrDel(d.link(d.its, "eth0"), &netlink.Addr{IPNet: &net.IPNet{IP: d.pod.v6.AsSlice(), Mask: net.CIDRMask(64, 128)}}))
		}, "of eth0 is missing", false},
		{"address too many", func(d damage) {
			a := netip.MustParseAddr("172.31.28.31")
			must(d.T, d.its.AddrAdd(d.link(d.its, "eth0"), &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(20, 32)}}))
		}, "172.31.28.31/20 besides its own", false},
		{"default route", func(d damage) { d.deleteRoutes(d.its, d.link(d.its, "eth0"), unix.RT_TABLE_MAIN) }, "route 0.0.0.0/0 via 172.31.16.1", false},
		{"service routes", func(d damage) {
			l := d.link(d.its, "host0")
			must(d.T, d.its.LinkSetDown(l))
			must(d.T, d.its.LinkSetUp(l))
		}, "route 10.96.0.0/12 via", false},
		{"rule", func(d damage) {
			rules, err := d.its.RuleList(netlink.FAMILY_V4)
			must(d.T, err)
			for _, r := range rules {
				if r.Priority == 100 {
					r.Family = netlink.FAMILY_V4
					must(d.T, d.its.RuleDel(&r))
				}
			}
		}, "IPv4 rule 100", false},
		{"neighbour in the pod", func(d damage) {
			l := d.link(d.its, "host0")
			must(d.T, d.its.NeighDel(&netlink.Neigh{LinkIndex: l.Attrs().Index, IP: d.pod.node.v4.AsSlice()}))
		}, "the permanent neighbour", false},
		{"setting in the pod", func(d damage) { must(d.T, d.pod.Set("net.ipv4.conf.host0.rp_filter", "1")) }, "rp_filter is 1", false},
		{"host leg missing", func(d damage) { must(d.T, d.here.LinkDel(d.hostLeg())) }, "host0 is missing", false},
		{"node's end down", func(d damage) { must(d.T, d.here.LinkSetDown(d.hostLeg())) }, "is down", false},
		{"node's route", func(d damage) { d.deleteRoutes(d.here, d.hostLeg(), unix.RT_TABLE_MAIN) }, "on the node, route", false},
		{"node's neighbour", func(d damage) {
			must(d.T, d.here.NeighDel(&netlink.Neigh{LinkIndex: d.hostLeg().Attrs().Index, IP: d.pod.v4.AsSlice()}))
		}, "on the node, the permanent neighbour", false},
		{"node's interface down", func(d damage) { must(d.T, d.here.LinkSetDown(d.link(d.here, "ens6"))) }, "ens6 is down", false},
		{"record missing", func(d damage) {
			n.store(d.T, func(s *ipam.Store) {
				must(d.T, s.Cancel(ipam.Owner{ContainerID: d.pod.args.ContainerID, IfName: "eth0"}))
			})
		}, "no address in the allocation store", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := n.addPod(t, "ens6")
			must(t, p.check(t))
			c.damage(damage{t, p, handle(t, n.Namespace), handle(t, p.Namespace)})
			wantCode(t, p.check(t), cni.CodeDamaged, c.word)
			if !c.final {
				must(t, p.add(t))
				must(t, p.check(t))
			}
			must(t, p.del())
		})
	}
	n.wantStore(t, 0)
	wantLinks(t, n.Namespace, "ens5", "ens6")
}

// TestSecondInterface attaches a pod twice: answers leave where the question came in.
func TestSecondInterface(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	for i := range n.file.Networks {
		// The same on both interfaces: neither replaces the other's.
		n.file.Networks[i].Routes = []nodefile.Route{{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: netip.MustParseAddr("172.31.16.1")}}
	}
	n.write(t)
	p := n.addPod(t, "ens6")
	other := *p
	args := *p.args
	args.IfName, args.StdinData = "net1", config("ens7", "1.0.0")
	other.args = &args
	must(t, other.add(t))
	wantLinks(t, p.Namespace, "eth0", "host0", "net1")
	if len(other.result.Routes) != 1 || len(other.result.Interfaces) != 1 {
		t.Errorf("a second interface got default routes or a host leg: %+v", other.result)
	}
	for range 2 {
		must(t, p.check(t))
		must(t, other.check(t))
		w.wantPings(t, remote.end(), p.end(), small)
		w.wantPings(t, remote.end(), other.end(), small)
		w.wantPings(t, other.end(), remote.end(), small)
		w.wantPings(t, n.end(), p.end(), small)
		must(t, other.add(t)) // changes nothing
	}
	must(t, other.del())
	wantLinks(t, p.Namespace, "eth0", "host0")
	must(t, p.check(t))
	must(t, p.del())
	n.wantStore(t, 0)
}

// TestMaster has interfaces that cannot carry pods, or not yet.
func TestMaster(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	links := n.handle(t)
	card, err := links.LinkByName("ens6")
	must(t, err)
	child := func(t *testing.T, mode netlink.IPVlanMode, flag netlink.IPVlanFlag) {
		ns, err := netns.NewNamed("foreign")
		must(t, err)
		t.Cleanup(func() { must(t, ns.Close()) })
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex, attrs.Namespace = "eth0", card.Attrs().Index, netlink.NsFd(ns.FD())
		must(t, links.LinkAdd(&netlink.IPVlan{LinkAttrs: attrs, Mode: mode, Flag: flag}))
		t.Cleanup(func() {
			there := handle(t, ns)
			l, err := there.LinkByName("eth0")
			must(t, err)
			must(t, there.LinkDel(l))
		})
	}
	t.Run("down", func(t *testing.T) {
		must(t, links.LinkSetDown(card))
		must(t, n.Set("net.ipv6.conf.ens6.accept_ra", "1"))
		p := n.addPod(t, "ens6")
		must(t, p.check(t))
		if got := sysctl(t, n.Namespace, "net/ipv6/conf/ens6/accept_ra"); got != "0" {
			t.Errorf("ADD brought up the interface with accept_ra %s: the node may get a second default route", got)
		}
		must(t, p.del())
	})
	refuse := func(t *testing.T, word string) {
		t.Helper()
		// What was seen since boot counts no more.
		n.plugin.Folder = t.TempDir()
		p := n.newPod(t, "ens6")
		wantCode(t, p.add(t), cni.CodeInterface, word)
		n.wantStore(t, 0)
		wantLinks(t, p.Namespace)
	}
	t.Run("ipvlan in mode l3", func(t *testing.T) {
		child(t, netlink.IPVLAN_MODE_L3, netlink.IPVLAN_FLAG_BRIDGE)
		refuse(t, "another mode")
	})
	t.Run("private", func(t *testing.T) {
		child(t, netlink.IPVLAN_MODE_L2, netlink.IPVLAN_FLAG_PRIVATE)
		refuse(t, "private")
	})
	t.Run("bridge", func(t *testing.T) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "bridge0"
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		must(t, links.LinkAdd(bridge))
		must(t, links.LinkSetMaster(card, bridge))
		refuse(t, "bridge")
		must(t, links.LinkSetNoMaster(card))
		must(t, links.LinkDel(bridge))
	})
	t.Run("MTU too small", func(t *testing.T) {
		n.file.Networks[1].MTU = 9100
		n.write(t)
		refuse(t, "MTU 9001, and the network wants 9100")
		n.file.Networks[1].MTU = 1500
		n.write(t)
		p := n.addPod(t, "ens6")
		must(t, p.check(t))
		if mtu := p.result.Interfaces[0].Mtu; mtu != 1500 {
			t.Errorf("the pod's MTU is %d", mtu)
		}
		must(t, p.del())
		n.file.Networks[1].MTU = 0
		n.write(t)
	})
	t.Run("namespace not allowed", func(t *testing.T) {
		n.file.Networks[1].AllowedNamespaces = []string{"other"}
		n.write(t)
		wantCode(t, n.newPod(t, "ens6").add(t), cni.CodeRefused, "default")
		n.file.Networks[1].AllowedNamespaces = nil
		n.write(t)
	})
	t.Run("exhausted", func(t *testing.T) {
		n.file.Pools[0].Allocation = "Disabled"
		n.write(t)
		wantCode(t, n.newPod(t, "ens6").add(t), 11, n.file.Pools[0].Name)
		n.file.Pools[0].Allocation = "Enabled"
		n.write(t)
	})
	t.Run("detached", func(t *testing.T) {
		must(t, w.Detach("eni-master-ens6"))
		wantCode(t, n.newPod(t, "ens6").add(t), 11, "not on this machine")
	})
	p := n.addPod(t, "ens7")
	if err := probe.Ping(p.Namespace, p.v4, n.v4, small, probe.Timeout); err != nil {
		t.Error(err)
	}
}

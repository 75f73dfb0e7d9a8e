// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// TestARPIgnoreIsInherited by pods, which is why there is a check of it: as kube-proxy sets it they answer, and with 8 they do not.
func TestARPIgnoreIsInherited(t *testing.T) {
	const setting = "/proc/sys/net/ipv4/conf/all/arp_ignore"
	before, err := os.ReadFile(setting)
	must(t, err)
	t.Cleanup(func() { must(t, os.WriteFile(setting, before, 0)) })
	for _, c := range []struct {
		name, value string
		answers     bool
	}{{"strict ARP", "1", true}, {"same subnet", "2", true}, {"nothing answered", "8", false}} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.WriteFile(setting, []byte(c.value), 0))
			n := newWorld(t).addNode(t, "master", primary("a"), master())
			one, other := n.addPod(t, "ens6"), n.addPod(t, "ens6")
			wait := lost
			if c.answers {
				wait = probe.Timeout
			}
			if err := probe.Ping(one.Namespace, one.v4, other.v4, small, wait); (err == nil) != c.answers {
				t.Errorf("arp_ignore=%s: %v", c.value, err)
			}
		})
	}
}

// TestARPFlux asks on the link for the address of a pod's second interface, whose first one is in the same subnet, on another interface of the node: it
// hears the question too. An answer by it would lead to the wrong interface, and the cloud drops that. Two things keep it from that, of which each is
// enough: settings of the namespace, and the filter of what the interface sends. Without both the fabric sees the wrong answer.
func TestARPFlux(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	near := w.addNode(t, "near", primary("a"))
	for _, c := range []struct {
		name             string
		settings, filter bool
	}{
		{"as ADD leaves it", true, true},
		{"without the filter", true, false},
		{"without the settings", false, true},
		{"without both", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := n.addPod(t, "ens6")
			args, net1 := *p.args, *p
			args.IfName, args.StdinData = "net1", config("ens7", "1.1.0")
			net1.args = &args
			must(t, net1.add(t))
			if !c.settings {
				for _, setting := range []string{"arp_ignore", "arp_announce"} {
					must(t, p.Set("net.ipv4.conf.all."+setting, "0"))
				}
			}
			if !c.filter {
				links := handle(t, p.Namespace)
				eth0, err := links.LinkByName("eth0")
				must(t, err)
				must(t, links.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: eth0.Attrs().Index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}}))
			}
			before, err := w.DropsOf("eni-master-ens6")
			must(t, err)
			near.askAnew(t, net1.v4)
			near.askAnew(t, p.v4) // eth0 answers questions in their order: that to the one before is there
			after, err := w.DropsOf("eni-master-ens6")
			must(t, err)
			wrong := after[fabric.WrongSource] - before[fabric.WrongSource]
			if want := !c.settings && !c.filter; (wrong > 0) != want {
				t.Errorf("eth0 gave %d wrong answers, want some: %t", wrong, want)
			}
			for i, whole := range map[*pod]bool{p: c.filter, &net1: c.settings} {
				if !whole {
					wantCode(t, i.check(t), cni.CodeDamaged, "")
					must(t, i.add(t)) // which repairs it
				}
				must(t, i.check(t))
				must(t, i.del())
			}
		})
	}
}

// askAnew pings an address of the node's subnet whose MAC it does not know.
func (n *node) askAnew(t *testing.T, target netip.Addr) {
	t.Helper()
	links := n.handle(t)
	known, err := links.NeighList(0, unix.AF_INET)
	must(t, err)
	for _, k := range known {
		if k.State&netlink.NUD_PERMANENT == 0 && k.IP.Equal(target.AsSlice()) {
			must(t, links.NeighDel(&k))
		}
	}
	must(t, probe.Ping(n.Namespace, n.v4, target, small, probe.Timeout))
}

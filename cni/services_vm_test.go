// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

const mirrorPort = 8080

// TestServices has the node translate service addresses, as kube-proxy does, to backends wherever they are.
func TestServices(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master(), second())
	k := w.addNode(t, "worker", primary("b"), worker())
	client := m.addPod(t, "ens6")
	for i, c := range []struct {
		name    string
		backend end
	}{
		{"remote pod", k.addPod(t, "ens6").end()},
		{"sibling", m.addPod(t, "ens6").end()},
		{"pod on another interface", m.addPod(t, "ens7").end()},
		{"the pod itself", client.end()},
		{"own host", m.end()},
		{"remote host", k.end()},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, service := range []struct{ source, address, backend, node netip.Addr }{
				{client.v4, offset(netip.MustParseAddr("10.96.0.10"), i), c.backend.v4, m.v4},
				{client.v6, offset(netip.MustParseAddr("fd00:10:96::10"), i), c.backend.v6, m.v6},
			} {
				mirror, err := probe.Serve(c.backend.ns, netip.AddrPortFrom(service.backend, mirrorPort))
				must(t, err)
				t.Cleanup(func() { must(t, mirror.Close()) })
				translate(t, m.Namespace, service.address, service.backend)
				for _, network := range []string{"tcp", "udp"} {
					seen, err := probe.Ask(client.Namespace, network, service.source, netip.AddrPortFrom(service.address, mirrorPort), 64, probe.Timeout)
					if err != nil {
						t.Error(err)
						continue
					}
					if want := service.node; seen.Addr() != want && c.name != "own host" {
						t.Errorf("%s by %s: the backend sees %s, want the node's %s", service.address, network, seen, want)
					}
				}
			}
		})
	}
}

// translate changes the destination of what comes to the namespace for an address.
func translate(t *testing.T, in *netns.Namespace, from, to netip.Addr) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(in.FD()))
	must(t, err)
	table := c.AddTable(&nftables.Table{Name: "services", Family: nftables.TableFamilyINet})
	chain := c.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	family, position, length := byte(unix.NFPROTO_IPV4), uint32(16), uint32(4)
	if from.Is6() {
		family, position, length = unix.NFPROTO_IPV6, 24, 16
	}
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: position, Len: length},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: from.AsSlice()},
		&expr.Immediate{Register: 1, Data: to.AsSlice()},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(family), RegAddrMin: 1},
	}})
	must(t, c.Flush())
}

// TestHostLegIsGuarded has a pod send by its host leg what it must not, in both families.
func TestHostLegIsGuarded(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master())
	p := m.addPod(t, "ens6")
	links := handle(t, p.Namespace)
	leg, err := links.LinkByName("host0")
	must(t, err)
	counted := func(counter string, do func()) {
		t.Helper()
		packets := func() (n uint64) {
			must(t, m.Do(func() error {
				all, err := datapath.DroppedPackets()
				n = all[counter]
				return err
			}))
			return n
		}
		before := packets()
		do()
		if after := packets(); after == before {
			t.Errorf("%s counted nothing: %d packets before and after", counter, after)
		}
	}
	gateways := []netip.Addr{m.v4, netip.MustParseAddr("fe80:756c::1")} // as the host leg's own routes have them
	for i, family := range []string{"IPv4", "IPv6"} {
		own, node, outside := p.addresses()[i], []netip.Addr{m.v4, m.v6}[i], fabric.OutsideAddresses()[i]
		host := func(a netip.Addr) *net.IPNet {
			return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
		}
		t.Run(family+" to where it is not for", func(t *testing.T) {
			must(t, links.RouteReplace(&netlink.Route{
				LinkIndex: leg.Attrs().Index, Dst: host(outside), Src: own.AsSlice(), Gw: gateways[i].AsSlice(), Flags: int(netlink.FLAG_ONLINK), Table: unix.RT_TABLE_MAIN,
			}))
			counted(datapath.CounterRefused, func() {
				if probe.Ping(p.Namespace, own, outside, small, lost) == nil {
					t.Error("it was forwarded")
				}
			})
		})
		t.Run(family+" from an address of another", func(t *testing.T) {
			forged := offset(own, 5)
			must(t, links.AddrAdd(loopback(t, p), &netlink.Addr{IPNet: host(forged), Flags: unix.IFA_F_NODAD}))
			counted(datapath.CounterForged, func() {
				if probe.Ping(p.Namespace, forged, node, small, lost) == nil {
					t.Error("the node answered")
				}
			})
		})
		t.Run(family+" to where it is for", func(t *testing.T) {
			if err := probe.Ping(p.Namespace, own, node, small, probe.Timeout); err != nil {
				t.Error(err)
			}
		})
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// peer is an interface of another node in the master's subnet.
func peer() card { return card{"ens6", "a", "172.31.28.64/28", "2406:da1e:c4:ed01:c580::/80"} }

// hearsGroup says whether a datagram that sender sends to a multicast group reaches the pod within some time.
func (p *pod) hearsGroup(t *testing.T, group netip.Addr, sender *pod, timeout time.Duration) bool {
	t.Helper()
	to := &net.UDPAddr{IP: group.AsSlice(), Port: 9998}
	var listener *net.UDPConn
	must(t, p.Do(func() error {
		link, err := net.InterfaceByName("eth0")
		if err == nil {
			listener, err = net.ListenMulticastUDP("udp", link, to)
		}
		return err
	}))
	defer listener.Close()
	source := sender.v4
	if group.Is6() {
		source, to.Zone = sender.v6, "eth0"
	}
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		must(t, sender.Do(func() error {
			conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), to)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte("hello"))
			return err
		}))
		must(t, listener.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
		if _, from, err := listener.ReadFromUDPAddrPort(make([]byte, 100)); err == nil && from.Addr().Unmap() == source {
			return true
		}
	}
	return false
}

// TestMulticast has pods of an interface hear each other's groups, and those of another node not: the fabric carries of multicast what finds neighbours.
func TestMulticast(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master())
	p, sibling := m.addPod(t, "ens6"), m.addPod(t, "ens6")
	remote := w.addNode(t, "worker", primary("b"), peer()).addPod(t, "ens6")
	for family, group := range map[string]netip.Addr{"IPv4": netip.MustParseAddr("239.1.2.3"), "IPv6": netip.MustParseAddr("ff02::1234")} {
		t.Run(family+" between siblings", func(t *testing.T) {
			if !p.hearsGroup(t, group, sibling, probe.Timeout) {
				t.Error("nothing arrived")
			}
		})
		t.Run(family+" across nodes", func(t *testing.T) {
			before, err := w.Drops()
			must(t, err)
			if remote.hearsGroup(t, group, p, lost) {
				t.Error("it arrived, as it would not in a VPC")
			}
			after, err := w.Drops()
			must(t, err)
			if after[fabric.Multicast] == before[fabric.Multicast] {
				t.Errorf("the fabric counted nothing: %v", after)
			}
		})
	}
	t.Run("neighbours are found", func(t *testing.T) { w.wantPings(t, p.end(), remote.end(), small) })
}

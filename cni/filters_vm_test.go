// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// hears says whether a datagram that send sends to the port arrives at the address within some time.
func hears(t *testing.T, at *netns.Namespace, address netip.Addr, timeout time.Duration, send func(to netip.AddrPort)) bool {
	t.Helper()
	var listener *net.UDPConn
	must(t, at.Do(func() (err error) {
		listener, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, 0)))
		return err
	}))
	defer listener.Close()
	to, err := netip.ParseAddrPort(listener.LocalAddr().String())
	must(t, err)
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		send(to)
		must(t, listener.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
		if _, _, err := listener.ReadFrom(make([]byte, 100)); err == nil {
			return true
		}
	}
	return false
}

// say sends a datagram from an address that the namespace has.
func (p *pod) say(t *testing.T, source netip.Addr, to netip.AddrPort) {
	t.Helper()
	p.tell(t, source, to, 5)
}

// tell sends a datagram of that many bytes, in fragments if need be.
func (p *pod) tell(t *testing.T, source netip.Addr, to netip.AddrPort, size int) {
	t.Helper()
	must(t, p.Do(func() error {
		conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)), net.UDPAddrFromAddrPort(to))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, _ = conn.Write(make([]byte, size)) // a filter's verdict is an error sometimes
		return nil
	}))
}

// frame sends a datagram of IPv4 as a frame from eth0 by a raw socket, past the kernel's queues if bypass is set.
func (p *pod) frame(t *testing.T, destination net.HardwareAddr, source netip.Addr, to netip.AddrPort, bypass bool) {
	t.Helper()
	p.declare(t, declaredIPv4, destination, source, to, bypass)
}

// What a raw socket tells the kernel that a frame is, in a frame's order: what it is, or nothing that there is.
const (
	declaredIPv4    = 0x0008
	declaredNothing = 0x0800
)

// declare sends a frame that is declared to be of a protocol.
func (p *pod) declare(t *testing.T, protocol uint16, destination net.HardwareAddr, source netip.Addr, to netip.AddrPort, bypass bool) {
	t.Helper()
	l, err := handle(t, p.Namespace).LinkByName("eth0")
	must(t, err)
	p.sendFrame(t, l, protocol, datagram(l, destination, source, to), bypass)
}

// sendFrame sends a frame from a link by a raw socket.
func (p *pod) sendFrame(t *testing.T, l netlink.Link, protocol uint16, data []byte, bypass bool) {
	t.Helper()
	must(t, p.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		if bypass {
			if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
				return err
			}
		}
		_ = unix.Sendto(fd, data, 0, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index, Protocol: protocol}) // an error as above
		return nil
	}))
}

// datagram is a frame with a datagram of IPv4 from a link.
func datagram(l netlink.Link, destination net.HardwareAddr, source netip.Addr, to netip.AddrPort) []byte {
	const ethernet, ip, udp = 14, 20, 8
	data := make([]byte, ethernet+ip+udp+5)
	copy(data, destination)
	copy(data[6:], l.Attrs().HardwareAddr)
	binary.BigEndian.PutUint16(data[12:], unix.ETH_P_IP)
	packet := data[ethernet:]
	packet[0], packet[8], packet[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(packet[2:], uint16(len(packet)))
	copy(packet[12:], source.AsSlice())
	copy(packet[16:], to.Addr().AsSlice())
	sum := uint32(0)
	for i := 0; i < ip; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	binary.BigEndian.PutUint16(packet[10:], ^uint16(sum+sum>>16))
	binary.BigEndian.PutUint16(packet[ip:], 9999)
	binary.BigEndian.PutUint16(packet[ip+2:], to.Port())
	binary.BigEndian.PutUint16(packet[ip+4:], udp+5)
	return data
}

// routerMAC is the MAC of the pod's IPv4 gateway, which it has talked to.
func (p *pod) routerMAC(t *testing.T) net.HardwareAddr {
	t.Helper()
	gateway := netip.MustParseAddr("172.31.16.1")
	must(t, probe.Ping(p.Namespace, p.v4, gateway, small, probe.Timeout))
	list, err := handle(t, p.Namespace).NeighList(0, netlink.FAMILY_V4)
	must(t, err)
	for _, n := range list {
		if n.IP.Equal(gateway.AsSlice()) {
			return n.HardwareAddr
		}
	}
	t.Fatalf("%s is no neighbour", gateway)
	return nil
}

// TestNeighboursAddress has a pod speak for another: nothing arrives, until its filter is gone.
func TestNeighboursAddress(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master())
	p, sibling, victim := m.addPod(t, "ens6"), m.addPod(t, "ens6"), m.addPod(t, "ens6")
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	links := handle(t, p.Namespace)
	for _, a := range victim.addresses() {
		must(t, links.AddrAdd(loopback(t, p), &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}, Flags: unix.IFA_F_NODAD}))
	}
	router := p.routerMAC(t)
	eth0, err := links.LinkByName("eth0")
	must(t, err)
	cases := []struct {
		name    string
		at      *pod
		address netip.Addr
		send    func(to netip.AddrPort)
	}{
		{"IPv4 to a sibling", sibling, sibling.v4, func(to netip.AddrPort) { p.say(t, victim.v4, to) }},
		{"IPv6 to a sibling", sibling, sibling.v6, func(to netip.AddrPort) { p.say(t, victim.v6, to) }},
		{"IPv4 to another node", remote, remote.v4, func(to netip.AddrPort) { p.say(t, victim.v4, to) }},
		{"IPv6 to another node", remote, remote.v6, func(to netip.AddrPort) { p.say(t, victim.v6, to) }},
		{"frame to a sibling", sibling, sibling.v4, func(to netip.AddrPort) { p.frame(t, eth0.Attrs().HardwareAddr, victim.v4, to, false) }},
		{"frame to a sibling, declared as nothing", sibling, sibling.v4, func(to netip.AddrPort) {
			p.declare(t, declaredNothing, eth0.Attrs().HardwareAddr, victim.v4, to, false)
		}},
		{"frame to another node", remote, remote.v4, func(to netip.AddrPort) { p.frame(t, router, victim.v4, to, false) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if hears(t, c.at.Namespace, c.address, lost, c.send) {
				t.Error("a datagram from another pod's address arrived")
			}
		})
	}
	t.Run("own address", func(t *testing.T) {
		if !hears(t, sibling.Namespace, sibling.v4, probe.Timeout, func(to netip.AddrPort) { p.frame(t, eth0.Attrs().HardwareAddr, p.v4, to, false) }) {
			t.Error("a frame from the pod's own address did not arrive")
		}
		w.wantPings(t, p.end(), remote.end(), small)
		w.wantPings(t, sibling.end(), p.end(), small)
	})
	t.Run("without the filter", func(t *testing.T) {
		must(t, p.check(t))
		deleteClsact(t, links, eth0)
		wantCode(t, p.check(t), cni.CodeDamaged, "lets only the pod's own addresses out is missing")
		for _, c := range cases {
			if !hears(t, c.at.Namespace, c.address, probe.Timeout, c.send) {
				t.Errorf("%s: nothing arrived, so the test above shows nothing", c.name)
			}
		}
		must(t, p.add(t))
		must(t, p.check(t))
	})
}

func deleteClsact(t *testing.T, links *netlink.Handle, l netlink.Link) {
	t.Helper()
	must(t, links.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}}))
}

// TestMetadataService has pods and their node reach for the instance's metadata by the same interface.
func TestMetadataService(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", card{"ens5", "a", "172.31.28.16/28", "2406:da1e:c4:ed01:c57d::/80"}, second())
	policy := func(network int, mode nodefile.MetadataMode, except ...string) {
		n.file.Networks[network].MetadataService = nodefile.MetadataService{Mode: mode, ExceptNamespaces: except}
		n.write(t)
	}
	reaches := func(p *pod) (bool, bool) {
		var r [2]bool
		for i, a := range fabric.MetadataAddresses() {
			r[i] = probe.Ping(p.Namespace, p.addresses()[i], a, small, lost) == nil
		}
		return r[0], r[1]
	}
	for _, c := range []struct {
		name      string
		mode      nodefile.MetadataMode
		except    []string
		namespace string
		want      bool
	}{
		{"blocked", nodefile.MetadataBlock, []string{"kube-system"}, "default", false},
		{"namespace excepted", nodefile.MetadataBlock, []string{"kube-system"}, "kube-system", true},
		{"allowed", nodefile.MetadataAllow, []string{"untrusted"}, "default", true},
		{"namespace blocked", nodefile.MetadataAllow, []string{"untrusted"}, "untrusted", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy(0, c.mode, c.except...)
			p := n.newPod(t, "ens5")
			p.args.Args = strings.Replace(p.args.Args, "K8S_POD_NAMESPACE=default", "K8S_POD_NAMESPACE="+c.namespace, 1)
			must(t, p.add(t))
			must(t, p.check(t))
			if ipv4, ipv6 := reaches(p); ipv4 != c.want || ipv6 != c.want {
				t.Errorf("the pod reaches metadata by IPv4 %v, by IPv6 %v; want %v", ipv4, ipv6, c.want)
			}
			for i, a := range fabric.MetadataAddresses() {
				must(t, probe.Ping(n.Namespace, []netip.Addr{n.v4, n.v6}[i], a, small, probe.Timeout))
			}
			must(t, p.del())
		})
	}
	policy(0, nodefile.MetadataBlock)
	p, sibling := n.addPod(t, "ens5"), n.addPod(t, "ens5")
	link, err := n.handle(t).LinkByName("ens5")
	must(t, err)
	t.Run("raw sockets", func(t *testing.T) {
		router, metadata := p.routerMAC(t), fabric.MetadataAddresses()[0]
		for _, bypass := range []bool{false, true} {
			send := func(to netip.AddrPort) { p.frame(t, router, p.v4, to, bypass) }
			if hears(t, w.Router(), metadata, lost, send) {
				t.Errorf("a frame reached the metadata service (past queues: %v)", bypass)
			}
			if hears(t, w.Router(), metadata, lost, func(to netip.AddrPort) { p.declare(t, declaredNothing, router, p.v4, to, bypass) }) {
				t.Errorf("a frame that is declared as nothing reached the metadata service (past queues: %v)", bypass)
			}
			if !hears(t, w.Router(), netip.MustParseAddr("172.31.16.1"), probe.Timeout, send) {
				t.Errorf("a frame did not reach the router (past queues: %v)", bypass)
			}
		}
	})
	t.Run("a second interface has its own network's policy", func(t *testing.T) {
		other := *p
		args := *p.args
		args.IfName, args.StdinData = "net1", config("ens7", "1.1.0")
		other.args = &args
		must(t, other.add(t))
		if ipv4, ipv6 := reaches(&other); !ipv4 || !ipv6 {
			t.Errorf("by net1 the pod reaches metadata by IPv4 %v, by IPv6 %v", ipv4, ipv6)
		}
		if ipv4, ipv6 := reaches(p); ipv4 || ipv6 {
			t.Errorf("by eth0 the pod reaches metadata by IPv4 %v, by IPv6 %v", ipv4, ipv6)
		}
		must(t, other.check(t))
		must(t, other.del())
	})
	t.Run("the filter is missed", func(t *testing.T) {
		deleteClsact(t, n.handle(t), link)
		wantCode(t, p.check(t), cni.CodeDamaged, "keeps the pod from the metadata service is missing")
		must(t, p.add(t))
		must(t, sibling.add(t))
		must(t, p.check(t))
	})
	t.Run("DEL removes the pod's alone", func(t *testing.T) {
		must(t, p.del())
		wantFilters(t, n, "ens5", 1)
		must(t, sibling.check(t))
		must(t, sibling.del())
		wantFilters(t, n, "ens5", 0)
	})
	n.wantStore(t, 0)
}

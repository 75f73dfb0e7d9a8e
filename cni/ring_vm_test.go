// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
)

// ring sends a frame by memory that a packet socket shares with the kernel, again and again, while a thread changes the frame's destination to and fro
// between two addresses with the same checksum.
func (p *pod) ring(t *testing.T, data []byte, other netip.Addr, protocol uint16, index int, until func(sent int) bool) {
	t.Helper()
	const (
		size                  = 4096
		status, length, start = 0, 4, 32 // in a frame's header of the second version
		destination           = 14 + 16
		sendRequest, sending  = 1, 2 // a frame that a filter drops is requested for ever
	)
	var fd int
	must(t, p.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	defer func() { _ = unix.Close(fd) }()
	must(t, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_TX_RING, &unix.TpacketReq{Block_size: size, Block_nr: 1, Frame_size: size, Frame_nr: 1}),
	))
	memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	defer func() { must(t, unix.Munmap(memory)) }()
	word := func(at int) *uint32 { return (*uint32)(unsafe.Pointer(&memory[at])) }
	copy(memory[start:], data)
	*word(length) = uint32(len(data))

	// The destination is not where a word may be, so it is two halves.
	half := func(at int) *uint16 { return (*uint16)(unsafe.Pointer(&memory[at])) }
	first, second := data[destination:destination+4], other.AsSlice()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 1000 {
				for _, a := range [][]byte{second, first} {
					*half(start + destination) = *(*uint16)(unsafe.Pointer(&a[0]))
					*half(start + destination + 2) = *(*uint16)(unsafe.Pointer(&a[2]))
				}
			}
		}
	}()
	for sent := 0; !until(sent); sent++ {
		atomic.StoreUint32(word(status), sendRequest)
		_ = unix.Sendto(fd, nil, 0, &unix.SockaddrLinklayer{Ifindex: index, Protocol: protocol}) // a filter's verdict is an error sometimes
		for atomic.LoadUint32(word(status)) == sending {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	<-stopped
}

// TestChangedFrames has a pod change frames after a filter has looked at them, and before they are on the wire.
func TestChangedFrames(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	for i := range n.file.Networks {
		n.file.Networks[i].MetadataService = nodefile.MetadataService{Mode: nodefile.MetadataBlock}
	}
	n.write(t)
	p := n.addPod(t, "ens6")
	router := p.routerMAC(t)
	l, err := handle(t, p.Namespace).LinkByName("eth0")
	must(t, err)
	metadata, bait := fabric.MetadataAddresses()[0], netip.MustParseAddr("169.238.170.14")
	// arrives says whether one of many frames gets to the metadata service within some time.
	arrives := func(protocol uint16, most time.Duration) bool {
		var listener *net.UDPConn
		must(t, w.Router().Do(func() (err error) {
			listener, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(metadata, 0)))
			return err
		}))
		defer func() { _ = listener.Close() }()
		to := netip.AddrPortFrom(metadata, netip.MustParseAddrPort(listener.LocalAddr().String()).Port())
		heard, begun := false, time.Now()
		p.ring(t, datagram(l, router, p.v4, to), bait, protocol, l.Attrs().Index, func(sent int) bool {
			if sent%50 == 0 {
				must(t, listener.SetReadDeadline(time.Now().Add(time.Millisecond)))
				_, _, err := listener.ReadFrom(make([]byte, 100))
				heard = heard || err == nil
			}
			return heard || time.Since(begun) > most
		})
		return heard
	}
	for name, protocol := range map[string]uint16{"declared as what they are": declaredIPv4, "declared as nothing": declaredNothing} {
		t.Run(name, func(t *testing.T) {
			if arrives(protocol, 3*lost) {
				t.Error("a frame reached the metadata service")
			}
		})
	}
	must(t, p.check(t))
	t.Run("where the kernel leaves headers in the pod's memory", func(t *testing.T) {
		links := n.handle(t)
		link, err := links.LinkByName("ens6")
		must(t, err)
		list, err := links.FilterList(link, netlink.HANDLE_MIN_EGRESS)
		must(t, err)
		for _, f := range list {
			if f.Attrs().Priority < 117 {
				must(t, links.FilterDel(f))
			}
		}
		wantCode(t, p.check(t), cni.CodeDamaged, "the node's filter of frames that change is missing")
		if !arrives(declaredIPv4, 2*time.Minute) { // seconds at most, as a rule
			t.Error("nothing arrives: the cases above show nothing")
		}
	})
}

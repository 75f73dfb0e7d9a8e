// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package probe sends packets from network namespaces and says whether they arrive, and from whom. Nothing it sends may be
// fragmented. It imports x/sys and netns alone.
package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// Timeout is how long a probe waits for an answer that should come: on an idle machine it takes milliseconds.
const Timeout = 10 * time.Second

// Ping sends ICMP echo requests of that many bytes, IP header included, until one is answered: neighbours that were not
// there a moment ago cost some packets. source may be the zero Addr, for the kernel's choice. bytes is at least 48.
func Ping(from *netns.Namespace, source, target netip.Addr, bytes int, timeout time.Duration) error {
	if err := ping(from, source, target, bytes, time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("ping %s with %d bytes for %s: %w", target, bytes, timeout, err)
	}
	return nil
}

func ping(from *netns.Namespace, source, target netip.Addr, bytes int, deadline time.Time) error {
	request, err := echoRequest(target, bytes)
	if err != nil {
		return err
	}
	conn, err := listen(from, source, target)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer := make([]byte, 1<<16) // of IPv4 the kernel gives the IP header too, which Go takes off
	return again(deadline, func(until time.Time) error {
		if err := conn.SetDeadline(until); err != nil {
			return err
		}
		if _, err := conn.WriteTo(request, &net.IPAddr{IP: target.AsSlice()}); err != nil {
			return err
		}
		for {
			n, _, err := conn.ReadFrom(answer)
			if err != nil || isAnswer(answer[:n], request) {
				return err
			}
		}
	})
}

// again calls send, with the time until which it may wait for an answer, until it succeeds or the deadline is over.
func again(deadline time.Time, send func(until time.Time) error) error {
	const interval = 500 * time.Millisecond
	for {
		until := time.Now().Add(interval)
		if until.After(deadline) {
			until = deadline
		}
		err := send(until)
		switch {
		case err == nil:
			return nil
		case !until.Before(deadline):
			return err
		case !errors.Is(err, os.ErrDeadlineExceeded):
			time.Sleep(time.Until(until)) // refused at once, for want of a route or a neighbour
		}
	}
}

// listen opens a raw socket for ICMP, which needs root.
func listen(from *netns.Namespace, source, target netip.Addr) (*net.IPConn, error) {
	network := "ip4:icmp"
	if target.Is6() {
		network = "ip6:ipv6-icmp"
	}
	var conn *net.IPConn
	err := from.Do(func() error {
		var err error
		conn, err = net.ListenIP(network, &net.IPAddr{IP: source.AsSlice(), Zone: source.Zone()})
		if err != nil {
			return err
		}
		return whole(conn, target)
	})
	return conn, err
}

// whole forbids fragmentation of what the socket sends to the target.
func whole(conn syscall.Conn, target netip.Addr) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if target.Is6() {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1))
			return
		}
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	return errors.Join(err, failed)
}

const (
	echoRequest4, echoReply4 = 8, 0     // RFC 792
	echoRequest6, echoReply6 = 128, 129 // RFC 4443
)

// echoRequest returns the ICMP message: type, code, checksum, a random identifier and data.
func echoRequest(target netip.Addr, bytes int) ([]byte, error) {
	header, kind := 20, byte(echoRequest4)
	if target.Is6() {
		header, kind = 40, echoRequest6
	}
	if bytes < header+8 {
		return nil, fmt.Errorf("%d bytes are too few for an echo request", bytes)
	}
	message := make([]byte, bytes-header)
	message[0] = kind
	binary.BigEndian.PutUint32(message[4:], rand.Uint32())
	if target.Is4() { // the kernel fills in the one of IPv6, which covers addresses too
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	return message, nil
}

func isAnswer(answer, request []byte) bool {
	want := byte(echoReply4)
	if request[0] == echoRequest6 {
		want = echoReply6
	}
	return len(answer) == len(request) && answer[0] == want && string(answer[4:8]) == string(request[4:8])
}

// checksum is the Internet checksum (RFC 1071).
func checksum(message []byte) uint16 {
	var sum uint32
	for i := 0; i < len(message); i += 2 {
		word := uint32(message[i]) << 8
		if i+1 < len(message) {
			word |= uint32(message[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// Mirror is a server that tells its clients by which address it sees them, by TCP and UDP on the same port. An answer is as
// long as its question: a line with the address, and padding.
type Mirror struct {
	listener *net.TCPListener
	packets  *net.UDPConn
}

// Serve starts a mirror in the namespace.
func Serve(in *netns.Namespace, address netip.AddrPort) (*Mirror, error) {
	m := &Mirror{}
	err := in.Do(func() error {
		var err error
		if m.listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(address)); err != nil {
			return err
		}
		if m.packets, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(address)); err != nil {
			return errors.Join(err, m.listener.Close())
		}
		return whole(m.packets, address.Addr())
	})
	if err != nil {
		return nil, fmt.Errorf("serve a mirror: %w", err)
	}
	go m.serveTCP()
	go m.serveUDP()
	return m, nil
}

// Close ends the server.
func (m *Mirror) Close() error { return errors.Join(m.listener.Close(), m.packets.Close()) }

func (m *Mirror) serveTCP() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer conn.Close()
			if question, err := io.ReadAll(conn); err == nil {
				_, _ = conn.Write(answer(len(question), conn.RemoteAddr())) // a client that is gone needs no answer
			}
		}()
	}
}

func (m *Mirror) serveUDP() {
	question := make([]byte, 1<<16)
	for {
		n, client, err := m.packets.ReadFrom(question)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil { // an earlier answer may have been refused, as this one may be
			_, _ = m.packets.WriteTo(answer(n, client), client)
		}
	}
}

func answer(size int, client net.Addr) []byte {
	line := []byte(client.String() + "\n")
	return append(line, bytes.Repeat([]byte{'.'}, max(0, size-len(line)))...)
}

// Ask asks a mirror from the namespace, by "tcp" or "udp", and returns by which address it was seen. The question is that
// many bytes long, at least 64; one over UDP is one packet. source may be the zero Addr, for the kernel's choice.
func Ask(from *netns.Namespace, network string, source netip.Addr, mirror netip.AddrPort, size int, timeout time.Duration) (netip.AddrPort, error) {
	deadline, size := time.Now().Add(timeout), max(size, 64)
	conn, err := dial(from, network, source, mirror, deadline)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask %s by %s: %w", mirror, network, err)
	}
	defer conn.Close()
	var text []byte
	switch conn := conn.(type) {
	case *net.TCPConn:
		text, err = askStream(conn, size, deadline)
	case *net.UDPConn:
		text, err = askPacket(conn, mirror.Addr(), size, deadline)
	}
	if err == nil && len(text) != size {
		err = fmt.Errorf("the answer has %d bytes, want %d", len(text), size)
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask %s by %s: %w", mirror, network, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return netip.ParseAddrPort(line)
}

func dial(from *netns.Namespace, network string, source netip.Addr, mirror netip.AddrPort, deadline time.Time) (net.Conn, error) {
	dialer := net.Dialer{Deadline: deadline}
	switch {
	case source.IsValid() && network == "udp":
		dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	case source.IsValid():
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	var conn net.Conn
	err := from.Do(func() error {
		var err error
		conn, err = dialer.Dial(network, mirror.String())
		return err
	})
	return conn, err
}

func askStream(conn *net.TCPConn, size int, deadline time.Time) ([]byte, error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := conn.Write(question(size)); err != nil {
		return nil, err
	}
	if err := conn.CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(conn)
}

func askPacket(conn *net.UDPConn, mirror netip.Addr, size int, deadline time.Time) ([]byte, error) {
	if err := whole(conn, mirror); err != nil {
		return nil, err
	}
	text, n := make([]byte, 1<<16), 0
	err := again(deadline, func(until time.Time) error {
		if err := conn.SetDeadline(until); err != nil {
			return err
		}
		if _, err := conn.Write(question(size)); err != nil {
			return err
		}
		var err error
		n, err = conn.Read(text)
		return err
	})
	return text[:n], err
}

func question(size int) []byte { return bytes.Repeat([]byte{'?'}, size) }

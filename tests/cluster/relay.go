// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// end is one end of a relay: an address in a namespace.
type end struct {
	in      *netns.Namespace
	address string // host:port
}

// relay carries TCP connections from one namespace to another. It returns where it listens, which matters if the port is 0.
func relay(from, to end) (_ netip.AddrPort, stop func() error, err error) {
	listener, err := listen(from)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	track := func(conn net.Conn, add bool) {
		mu.Lock()
		defer mu.Unlock()
		if add {
			open[conn] = true
		} else {
			delete(open, conn)
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				track(client, true)
				defer track(client, false)
				defer client.Close()
				if server, err := dial(to); err == nil {
					carry(client, server)
				}
			}()
		}
	}()
	stop = func() error {
		err := listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for conn := range open {
			err = errors.Join(err, conn.Close())
		}
		return err
	}
	return netip.MustParseAddrPort(listener.Addr().String()), stop, nil
}

// carry copies both ways until both have ended, and closes the server's connection.
func carry(client, server net.Conn) {
	defer server.Close()
	var copying sync.WaitGroup
	oneWay := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if half, ok := to.(*net.TCPConn); ok && err == nil {
			_ = half.CloseWrite() // may have ended already
			return
		}
		to.Close()
		from.Close()
	}
	copying.Go(func() { oneWay(server, client) })
	copying.Go(func() { oneWay(client, server) })
	copying.Wait()
}

func listen(at end) (net.Listener, error) {
	var listener net.Listener
	err := at.in.Do(func() error {
		var err error
		listener, err = net.Listen("tcp", at.address) //nolint:noctx // an address, which needs no look-up
		return err
	})
	return listener, err
}

func dial(at end) (net.Conn, error) {
	var conn net.Conn
	err := at.in.Do(func() error {
		var err error
		conn, err = net.Dial("tcp", at.address) //nolint:noctx // next door
		return err
	})
	return conn, err
}

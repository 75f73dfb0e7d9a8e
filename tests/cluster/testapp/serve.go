// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// serve answers until a signal tells it to end:
//
//	/healthz    ok
//	/hostname   the pod's name
//	/clientip   the address that the request came from
func serve(httpAddress, echoAddress string) error {
	routes := http.NewServeMux()
	routes.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	routes.HandleFunc("/hostname", func(w http.ResponseWriter, _ *http.Request) {
		name, err := os.Hostname()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, name)
	})
	routes.HandleFunc("/clientip", func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, host)
	})
	listener, err := net.Listen("tcp", echoAddress) //nolint:noctx // a port, which needs no look-up
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", echoAddress) //nolint:noctx // likewise
	if err != nil {
		return err
	}
	server := &http.Server{Addr: httpAddress, Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 3)
	go func() { failed <- echoStreams(listener) }()
	go func() { failed <- echoPackets(packets) }()
	go func() { failed <- server.ListenAndServe() }()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	select {
	case err := <-failed:
		return err
	case <-signals:
		return errors.Join(server.Close(), listener.Close(), packets.Close())
	}
}

func echoStreams(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn) // a client that is gone needs no answer
		}()
	}
}

func echoPackets(packets net.PacketConn) error {
	packet := make([]byte, 1<<16)
	for {
		n, client, err := packets.ReadFrom(packet)
		if err != nil {
			return err
		}
		_, _ = packets.WriteTo(packet[:n], client) // likewise
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command testapp is what test pods run. Without arguments it serves; its other commands probe the network from within a
// pod, by "kubectl exec" or as an exec probe, and fail when there is no answer:
//
//	testapp serve [-http :8080] [-echo :7777]   a web server (see serve.go), and an echo by TCP and UDP
//	testapp ping [-size 84] ADDRESS             ICMP, IPv4 or IPv6, and who answers; the size is that of the whole packet, never fragmented
//	testapp get URL                             prints what a web server answers
//	testapp tcp [-connect] HOST:PORT            asks an echo by TCP, or just connects; prints the local and the remote address
//	testapp udp HOST:PORT                       asks an echo by UDP
//	testapp addresses                           lists the pod's interfaces, their addresses and MTUs
//
// All but serve and addresses take -timeout, 10 s if not given.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testapp:", err)
		os.Exit(1)
	}
}

// settings are all flags of all commands.
type settings struct {
	http, echo string
	size       int
	timeout    time.Duration
	connect    bool
}

func run(args []string) error {
	command := "serve"
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var s settings
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.StringVar(&s.http, "http", ":8080", "address of the web server")
	flags.StringVar(&s.echo, "echo", ":7777", "address of the echo")
	flags.IntVar(&s.size, "size", 84, "bytes of the packet, IP header included")
	flags.BoolVar(&s.connect, "connect", false, "be content with a connection")
	flags.DurationVar(&s.timeout, "timeout", probe.Timeout, "how long to wait for an answer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch command {
	case "serve":
		return serve(s.http, s.echo)
	case "addresses":
		return addresses(os.Stdout)
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("%s takes one argument", command)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	switch target := flags.Arg(0); command {
	case "ping":
		return ping(target, s)
	case "get":
		return get(ctx, os.Stdout, target)
	case "tcp", "udp":
		return ask(ctx, os.Stdout, command, target, s.connect)
	}
	return fmt.Errorf("no command %s", command)
}

func ping(target string, s settings) error {
	address, err := netip.ParseAddr(target)
	if err != nil {
		return err
	}
	if err := probe.Ping(netns.Here(), netip.Addr{}, address, s.size, s.timeout); err != nil {
		return err
	}
	fmt.Println(address, "answers")
	return nil
}

func get(ctx context.Context, w io.Writer, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// ask connects, and unless that is enough sends a line to an echo and waits for it to come back.
func ask(ctx context.Context, w io.Writer, network, target string, connect bool) error {
	conn, err := new(net.Dialer).DialContext(ctx, network, target)
	if err != nil {
		return err
	}
	defer conn.Close()
	if connect {
		fmt.Fprintln(w, conn.LocalAddr(), conn.RemoteAddr())
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	const question = "is anybody there?\n"
	if _, err := io.WriteString(conn, question); err != nil {
		return err
	}
	answer := make([]byte, len(question))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != question {
		return fmt.Errorf("the echo of %q is %q", question, answer)
	}
	fmt.Fprintln(w, conn.LocalAddr(), conn.RemoteAddr())
	return nil
}

func addresses(w io.Writer) error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, link := range links {
		list, err := link.Addrs()
		if err != nil {
			return err
		}
		fmt.Fprintln(w, link.Name, link.MTU, link.HardwareAddr, list)
	}
	return nil
}

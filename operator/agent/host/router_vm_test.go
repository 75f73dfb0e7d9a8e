// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package host

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// router is at the other end of the machine's link uplink, and says so.
type router struct{ *netns.Namespace }

func newRouter(t *testing.T, acceptRA string) router {
	t.Helper()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { must(t, ns.Close()) })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "downlink", PeerNamespace: netlink.NsFd(ns.FD())}))
	t.Cleanup(func() { must(t, deleteLink("uplink")) })
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/uplink/accept_ra", []byte(acceptRA), 0))
	must(t, netlink.LinkSetUp(&netlink.GenericLink{LinkAttrs: *link(t, "uplink")}))
	must(t, ns.Do(func() error {
		l, err := netlink.LinkByName("downlink")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	}))
	return router{ns}
}

// advertise sends router advertisements until the machine has a default route of them.
func (r router) advertise(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); r.defaultRoutes(t) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the machine does not take the router's advertisement")
		}
		_ = r.Do(sendAdvertisement) // fails until the link-local address may be used
	}
}

func sendAdvertisement() error {
	l, err := net.InterfaceByName("downlink")
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return err
	}
	allNodes := &unix.SockaddrInet6{Addr: [16]byte{0: 0xff, 1: 0x02, 15: 1}, ZoneId: uint32(l.Index)}
	// Type 134, code 0, checksum by the kernel, hop limit 64, no flags, lifetime 1800 s, no timers.
	return unix.Sendto(fd, []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}, 0, allNodes)
}

// defaultRoutes counts the machine's by this router.
func (r router) defaultRoutes(t *testing.T) int {
	t.Helper()
	routes, err := advertisedRoutes()
	must(t, err)
	n := 0
	for _, route := range routes {
		if route.LinkIndex == link(t, "uplink").Index && (route.Dst == nil || route.Dst.IP.IsUnspecified()) {
			n++
		}
	}
	return n
}

func deleteLink(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

func listLinks(t *testing.T) []string {
	t.Helper()
	list, err := netlink.LinkList()
	must(t, err)
	var names []string
	for _, l := range list {
		names = append(names, l.Attrs().Name)
	}
	return names
}

// keep starts a process in the namespace, and returns what ends it.
func (p *pod) keep(t *testing.T) func() {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	must(t, p.Do(cmd.Start))
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// later is a clock that is ahead.
func later(t *testing.T, by time.Duration) func() time.Duration {
	t.Helper()
	return func() time.Duration {
		var ts unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
		return time.Duration(ts.Nano()) + by
	}
}

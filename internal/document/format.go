// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// checkFormat says what is wrong with a text of a format of the inventory; empty when nothing is.
func checkFormat(format, s string) string {
	switch format {
	case "ip":
		return checkAddr(s, "an IP address", "172.31.18.11 or fd00::11", func(netip.Addr) bool { return true })
	case "ipv4":
		return checkAddr(s, "an IPv4 address", "172.31.18.11", netip.Addr.Is4)
	case "ipv6":
		return checkAddr(s, "an IPv6 address", "2406:da1e:c4:ed01::11", netip.Addr.Is6)
	case "ipv4-cidr":
		return checkPrefix(s, "an IPv4 network", "172.31.28.16/28", netip.Addr.Is4)
	case "ipv6-cidr":
		return checkPrefix(s, "an IPv6 network", "2406:da1e:c4:ed01:c57d::/80", netip.Addr.Is6)
	case "ip-range":
		if _, err := iprange.Parse(s); err != nil {
			return err.Error()
		}
	case "date-time":
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return fmt.Sprintf("%s is not a time; example: 2026-01-02T03:04:05Z", quote(s))
		}
	case "mac":
		if mac, err := net.ParseMAC(s); err != nil || len(mac) != 6 || strings.Count(s, ":") != 5 {
			return fmt.Sprintf("%s is not a MAC address; example: 02:00:00:00:10:01", quote(s))
		}
	}
	return ""
}

func checkAddr(s, what, example string, family func(netip.Addr) bool) string {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil && strings.Contains(s, "/"):
		return fmt.Sprintf("%s is a network, not %s; example: %s", quote(s), what, example)
	case err != nil:
		return fmt.Sprintf("%s is not %s; example: %s", quote(s), what, example)
	case addr.Zone() != "":
		return fmt.Sprintf("%s names a zone: leave out %%%s", quote(s), shorten(addr.Zone()))
	case addr.Is4In6():
		return fmt.Sprintf("%s is an IPv4 address inside IPv6: write %s", quote(s), addr.Unmap())
	case !family(addr):
		return fmt.Sprintf("%s is not %s; example: %s", quote(s), what, example)
	}
	return ""
}

func checkPrefix(s, what, example string, family func(netip.Addr) bool) string {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil && !strings.Contains(s, "/"):
		return fmt.Sprintf("%s is not %s, as it has no mask; example: %s", quote(s), what, example)
	case err != nil || prefix.Addr().Is4In6() || !family(prefix.Addr()):
		return fmt.Sprintf("%s is not %s; example: %s", quote(s), what, example)
	case prefix != prefix.Masked():
		return fmt.Sprintf("%s has bits set beyond its mask; did you mean %s?", quote(s), prefix.Masked())
	}
	return ""
}

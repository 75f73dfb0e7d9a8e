// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

const (
	bridgePrefix = "subnet"  // of the names of bridges
	outsideLink  = "outside" // the router's link to the outside
	outsideMTU   = 1500
)

// routerMAC is the router's on every subnet.
func routerMAC() net.HardwareAddr { return net.HardwareAddr{0x02, 0xec, 0x02, 0, 0, 0x01} }

// GatewayIPv6 is where the router answers in every subnet.
func GatewayIPv6() netip.Addr { return netip.MustParseAddr("fe80:ec2::1") }

// MetadataAddresses are where AWS serves instance metadata. They are the router's; nothing listens there by itself.
func MetadataAddresses() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}
}

// OutsideAddresses are a host in the internet, of which one prefix per family is simulated (RFC 5737, RFC 3849).
func OutsideAddresses() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:ffff::10")}
}

// natAddresses are the router's on its link to the outside.
func natAddresses() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:ffff::1")}
}

// makeRouter makes an ordinary namespace forward.
func (f *Fabric) makeRouter() error {
	if err := prepare(f.router); err != nil {
		return err
	}
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := f.router.Set(name, "1"); err != nil {
			return err
		}
	}
	for _, name := range []string{"arptables", "ip6tables", "iptables"} {
		// Where br_netfilter is loaded, bridged packets would meet the router's rules.
		err := f.router.Set("net.bridge.bridge-nf-call-"+name, "0")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	lo, err := f.links.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, address := range MetadataAddresses() {
		if err := addAddress(f.links, lo, netip.PrefixFrom(address, address.BitLen())); err != nil {
			return err
		}
	}
	return nil
}

// prepare switches off what the kernel does by itself: addresses, redirects, and limits to errors that tests wait for.
func prepare(namespace *netns.Namespace) error {
	for name, value := range map[string]string{
		"net.ipv4.conf.all.rp_filter":          "0",
		"net.ipv4.conf.default.rp_filter":      "0",
		"net.ipv4.conf.all.send_redirects":     "0",
		"net.ipv4.conf.default.send_redirects": "0",
		"net.ipv4.icmp_ratelimit":              "0",
		"net.ipv6.icmp.ratelimit":              "0",
		"net.ipv6.conf.all.accept_ra":          "0",
		"net.ipv6.conf.default.accept_ra":      "0",
		"net.ipv6.conf.default.addr_gen_mode":  "1", // none
	} {
		if err := namespace.Set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// addSubnet adds a bridge with the router's addresses in the subnet.
func (f *Fabric) addSubnet(s Subnet) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%s%d", bridgePrefix, len(f.subnets))
	attrs.MTU = MTU
	attrs.HardwareAddr = routerMAC()
	snooping := false // neighbour discovery is multicast, and listener reports do not pass
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	if err := f.links.LinkAdd(bridge); err != nil {
		return fmt.Errorf("add the bridge: %w", err)
	}
	for _, address := range s.gateways() {
		if err := addAddress(f.links, bridge, address); err != nil {
			return err
		}
	}
	if err := f.links.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("bring up the bridge: %w", err)
	}
	f.subnets = append(f.subnets, &subnet{Subnet: s, bridge: bridge})
	return nil
}

// gateways returns the router's addresses in the subnet, with the subnet's length.
func (s Subnet) gateways() []netip.Prefix {
	var gateways []netip.Prefix
	if s.IPv4.IsValid() {
		gateways = append(gateways, netip.PrefixFrom(s.IPv4.Masked().Addr().Next(), s.IPv4.Bits()))
	}
	if s.IPv6.IsValid() {
		gateways = append(gateways, netip.PrefixFrom(s.IPv6.Masked().Addr().Next(), s.IPv6.Bits()), netip.PrefixFrom(GatewayIPv6(), 64))
	}
	return gateways
}

// connectOutside makes the internet and the router's default routes to it. IPv4 of the VPC has no route back: the router
// translates.
func (f *Fabric) connectOutside() error {
	var err error
	if f.outside, err = netns.New(); err != nil {
		return err
	}
	if err := prepare(f.outside); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = outsideLink
	attrs.MTU = outsideMTU
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerMTU: outsideMTU, PeerNamespace: netlink.NsFd(f.outside.FD())}
	if err := f.links.LinkAdd(veth); err != nil {
		return fmt.Errorf("add the link: %w", err)
	}
	// Who forwards solicits neighbours from its link-local address.
	if err := configure(f.links, outsideLink, append(natAddresses(), netip.MustParseAddr("fe80::1"))); err != nil {
		return err
	}
	there, err := f.outside.Links()
	if err != nil {
		return err
	}
	defer there.Close()
	if err := configure(there, "eth0", OutsideAddresses()); err != nil {
		return err
	}
	for _, s := range f.subnets {
		if !s.IPv6.IsValid() {
			continue
		}
		route := &netlink.Route{Dst: ipNet(s.IPv6.Masked()), Gw: natAddresses()[1].AsSlice()}
		if err := there.RouteAdd(route); err != nil {
			return fmt.Errorf("route to %s: %w", s.IPv6, err)
		}
	}
	return nil
}

// configure gives the link addresses, each in a subnet that is on the link, and brings it up.
func configure(links *netlink.Handle, name string, addresses []netip.Addr) error {
	link, err := links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	for _, address := range addresses {
		bits := 24
		if address.Is6() {
			bits = 64
		}
		if err := addAddress(links, link, netip.PrefixFrom(address, bits)); err != nil {
			return err
		}
	}
	if err := links.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up %s: %w", name, err)
	}
	return nil
}

func addAddress(links *netlink.Handle, link netlink.Link, address netip.Prefix) error {
	entry := &netlink.Addr{IPNet: ipNet(address)}
	if address.Addr().Is6() {
		entry.Flags = unix.IFA_F_NODAD
	}
	if err := links.AddrAdd(link, entry); err != nil {
		return fmt.Errorf("add %s to %s: %w", address, link.Attrs().Name, err)
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

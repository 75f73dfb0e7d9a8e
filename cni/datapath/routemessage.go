// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// protocol marks routes and rules as ours. (Free in the kernel's and iproute2's lists.)
const protocol = 117

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// addAddress gives a link an address which does not wait for duplicate address detection.
func addAddress(l link, p netip.Prefix) *message {
	m := newMessage(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, func() string { return fmt.Sprintf("add address %s to %s", p, l.Name) }, unix.EEXIST)
	m.AddData(addressHeader(l, p))
	m.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	if p.Addr().Is4() {
		m.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, p.Addr().AsSlice()))
		if p.Bits() < 31 {
			m.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(p)))
		}
	}
	return m
}

func deleteAddress(l link, p netip.Prefix) *message {
	m := newMessage(unix.RTM_DELADDR, 0, func() string { return fmt.Sprintf("remove address %s from %s", p, l.Name) }, unix.EADDRNOTAVAIL)
	m.AddData(addressHeader(l, p))
	m.AddData(nl.NewRtAttr(unix.IFA_LOCAL, p.Addr().AsSlice()))
	return m
}

func addressHeader(l link, p netip.Prefix) *nl.IfAddrmsg {
	header := nl.NewIfAddrmsg(familyOf(p.Addr()))
	header.Prefixlen = uint8(p.Bits())
	header.Index = uint32(l.index)
	if p.Addr().Is6() {
		header.Flags = unix.IFA_F_NODAD
	}
	return header
}

func broadcast(p netip.Prefix) []byte {
	a := p.Addr().As4()
	mask := net.CIDRMask(p.Bits(), 32)
	for i := range a {
		a[i] |= ^mask[i]
	}
	return a[:]
}

// listAddresses of a namespace. The kernel's own filter by link is newer than the kernels that we run on.
func listAddresses() *message {
	m := newMessage(unix.RTM_GETADDR, 0, func() string { return "list addresses" })
	m.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	return m
}

// address is what the kernel says of an address.
type address struct {
	netip.Prefix
	index int    // of the link
	flags uint32 // IFA_F_*
}

func parseAddress(data []byte) (address, error) {
	if len(data) < unix.SizeofIfAddrmsg {
		return address{}, fmt.Errorf("read an address: %d bytes are too few", len(data))
	}
	header := nl.DeserializeIfAddrmsg(data)
	attributes, err := nl.ParseRouteAttrAsMap(data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return address{}, fmt.Errorf("read an address: %w", err)
	}
	value := attributes[unix.IFA_LOCAL].Value // of IPv6 only where there is a peer
	if value == nil {
		value = attributes[unix.IFA_ADDRESS].Value
	}
	a, ok := netip.AddrFromSlice(value)
	if !ok {
		return address{}, fmt.Errorf("read an address: it has %d bytes", len(value))
	}
	flags := uint32(header.Flags)
	if all := attributes[unix.IFA_FLAGS].Value; all != nil {
		flags = number(all)
	}
	return address{Prefix: netip.PrefixFrom(a, int(header.Prefixlen)), index: int(header.Index), flags: flags}, nil
}

// route is a route as it should be, or as the kernel says it is. It has no links' names, so that it can be compared.
type route struct {
	destination netip.Prefix
	// via is invalid for what is on the link.
	via    netip.Addr
	onlink bool
	// source that the node's or pod's own packets get; may be invalid.
	source netip.Addr
	table  int
	metric int
	index  int // of the link
}

// metricIPv6 is what the kernel gives routes of IPv6 that name none.
const metricIPv6 = 1024

// usualMetric of routes to a destination's family.
func usualMetric(a netip.Addr) int {
	if a.Is6() {
		return metricIPv6
	}
	return 0
}

func (r route) String() string {
	s := "route " + r.destination.String()
	if r.via.IsValid() {
		s += " via " + r.via.String()
	}
	if r.source.IsValid() {
		s += " from " + r.source.String()
	}
	if r.table != unix.RT_TABLE_MAIN {
		s += fmt.Sprintf(" in table %d", r.table)
	}
	if r.metric != usualMetric(r.destination.Addr()) {
		s += fmt.Sprintf(" metric %d", r.metric)
	}
	return s
}

func setRoute(r route) *message {
	m := newMessage(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, func() string { return "add " + r.String() })
	header := nl.NewRtMsg()
	header.Family = uint8(familyOf(r.destination.Addr()))
	header.Dst_len = uint8(r.destination.Bits())
	header.Protocol = protocol
	header.Table = unix.RT_TABLE_UNSPEC
	if !r.via.IsValid() && r.destination.Addr().Is4() {
		header.Scope = unix.RT_SCOPE_LINK
	}
	if r.onlink {
		header.Flags = unix.RTNH_F_ONLINK
	}
	m.AddData(header)
	if r.destination.Bits() > 0 {
		m.AddData(nl.NewRtAttr(unix.RTA_DST, r.destination.Addr().AsSlice()))
	}
	m.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(uint32(r.table))))
	m.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(r.index))))
	m.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(r.metric))))
	if r.via.IsValid() {
		m.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, r.via.AsSlice()))
	}
	if r.source.IsValid() {
		m.AddData(nl.NewRtAttr(unix.RTA_PREFSRC, r.source.AsSlice()))
	}
	return m
}

// leads says whether the other one leads to the same place: whether the kernel was to ask for the gateway is of no account once it has taken the route.
func (r route) leads(other route) bool {
	r.onlink = other.onlink
	return r == other
}

func listRoutes(family int) *message {
	m := newMessage(unix.RTM_GETROUTE, 0, func() string { return "list routes" })
	header := &nl.RtMsg{}
	header.Family = uint8(family)
	m.AddData(header)
	return m
}

// parseRoute reads a unicast route by one link; false for others, such as the routes of local addresses.
func parseRoute(data []byte) (route, bool, error) {
	if len(data) < unix.SizeofRtMsg {
		return route{}, false, fmt.Errorf("read a route: %d bytes are too few", len(data))
	}
	header := nl.DeserializeRtMsg(data)
	if header.Type != unix.RTN_UNICAST || header.Flags&unix.RTM_F_CLONED != 0 {
		return route{}, false, nil
	}
	attributes, err := nl.ParseRouteAttrAsMap(data[unix.SizeofRtMsg:])
	if err != nil {
		return route{}, false, fmt.Errorf("read a route: %w", err)
	}
	destination := netip.IPv4Unspecified()
	if header.Family == unix.AF_INET6 {
		destination = netip.IPv6Unspecified()
	}
	if a, ok := netip.AddrFromSlice(attributes[unix.RTA_DST].Value); ok {
		destination = a
	}
	r := route{
		destination: netip.PrefixFrom(destination, int(header.Dst_len)),
		onlink:      header.Flags&unix.RTNH_F_ONLINK != 0,
		table:       int(header.Table),
		metric:      int(number(attributes[unix.RTA_PRIORITY].Value)),
		index:       int(number(attributes[unix.RTA_OIF].Value)),
	}
	if value := attributes[unix.RTA_TABLE].Value; value != nil {
		r.table = int(number(value))
	}
	r.via, _ = netip.AddrFromSlice(attributes[unix.RTA_GATEWAY].Value)
	r.source, _ = netip.AddrFromSlice(attributes[unix.RTA_PREFSRC].Value)
	return r, r.index != 0, nil
}

// rule sends packets to a routing table.
type rule struct {
	family   int
	priority int
	// from is the source address; invalid for any.
	from  netip.Addr
	table int
}

func (r rule) String() string {
	from := "all"
	if r.from.IsValid() {
		from = r.from.String()
	}
	family := "IPv4"
	if r.family == unix.AF_INET6 {
		family = "IPv6"
	}
	return fmt.Sprintf("%s rule %d from %s to table %d", family, r.priority, from, r.table)
}

func addRule(r rule) *message {
	m := newMessage(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, func() string { return "add " + r.String() }, unix.EEXIST)
	header := &nl.RtMsg{}
	header.Family = uint8(r.family)
	header.Type = unix.RTN_UNICAST // FR_ACT_TO_TBL
	m.AddData(header)
	if r.from.IsValid() {
		header.Src_len = uint8(r.from.BitLen())
		m.AddData(nl.NewRtAttr(nl.FRA_SRC, r.from.AsSlice()))
	}
	m.AddData(nl.NewRtAttr(nl.FRA_PRIORITY, nl.Uint32Attr(uint32(r.priority))))
	m.AddData(nl.NewRtAttr(nl.FRA_TABLE, nl.Uint32Attr(uint32(r.table))))
	m.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(protocol)))
	return m
}

func deleteRule(r rule) *message {
	m := addRule(r)
	m.Type = unix.RTM_DELRULE
	m.Flags = unix.NLM_F_REQUEST
	m.what = func() string { return "remove " + r.String() }
	m.fine = []unix.Errno{unix.ENOENT, unix.EAFNOSUPPORT} // the latter of a kernel without IPv6
	return m
}

func listRules(family int) *message {
	m := newMessage(unix.RTM_GETRULE, 0, func() string { return "list routing rules" })
	header := &nl.RtMsg{}
	header.Family = uint8(family)
	m.AddData(header)
	return m
}

func parseRule(data []byte) (rule, error) {
	if len(data) < unix.SizeofRtMsg {
		return rule{}, fmt.Errorf("read a routing rule: %d bytes are too few", len(data))
	}
	header := nl.DeserializeRtMsg(data)
	attributes, err := nl.ParseRouteAttrAsMap(data[unix.SizeofRtMsg:])
	if err != nil {
		return rule{}, fmt.Errorf("read a routing rule: %w", err)
	}
	r := rule{family: int(header.Family), priority: int(number(attributes[nl.FRA_PRIORITY].Value)), table: int(header.Table)}
	if value := attributes[nl.FRA_TABLE].Value; value != nil {
		r.table = int(number(value))
	}
	r.from, _ = netip.AddrFromSlice(attributes[nl.FRA_SRC].Value)
	return r, nil
}

// neighbour is a permanent one.
type neighbour struct {
	address netip.Addr
	mac     string
	index   int // of the link
}

const sizeofNeighbour = 12 // struct ndmsg

func setNeighbour(n neighbour, mac net.HardwareAddr) *message {
	m := newMessage(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, func() string { return fmt.Sprintf("add neighbour %s", n.address) })
	m.AddRawData(neighbourHeader(familyOf(n.address), n.index, unix.NUD_PERMANENT))
	m.AddRawData(nl.NewRtAttr(unix.NDA_DST, n.address.AsSlice()).Serialize())
	m.AddRawData(nl.NewRtAttr(unix.NDA_LLADDR, mac).Serialize())
	return m
}

func neighbourHeader(family, index int, state uint16) []byte {
	header := make([]byte, sizeofNeighbour)
	header[0] = byte(family)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint16(header[8:], state)
	return header
}

func listNeighbours(index int) *message {
	m := newMessage(unix.RTM_GETNEIGH, 0, func() string { return "list neighbours" })
	m.AddRawData(neighbourHeader(unix.AF_UNSPEC, 0, 0))
	m.AddRawData(nl.NewRtAttr(unix.NDA_IFINDEX, nl.Uint32Attr(uint32(index))).Serialize())
	return m
}

// parseNeighbour reads a permanent neighbour; false for others.
func parseNeighbour(data []byte) (neighbour, bool, error) {
	if len(data) < sizeofNeighbour {
		return neighbour{}, false, fmt.Errorf("read a neighbour: %d bytes are too few", len(data))
	}
	attributes, err := nl.ParseRouteAttrAsMap(data[sizeofNeighbour:])
	if err != nil {
		return neighbour{}, false, fmt.Errorf("read a neighbour: %w", err)
	}
	n := neighbour{
		index: int(binary.NativeEndian.Uint32(data[4:])),
		mac:   net.HardwareAddr(attributes[unix.NDA_LLADDR].Value).String(),
	}
	n.address, _ = netip.AddrFromSlice(attributes[unix.NDA_DST].Value)
	return n, n.address.IsValid() && binary.NativeEndian.Uint16(data[8:])&unix.NUD_PERMANENT != 0, nil
}

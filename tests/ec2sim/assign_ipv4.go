// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"net/netip"
	"slices"
	"strings"
)

func ipv4Actions() []action {
	return []action{
		{name: "AssignPrivateIpAddresses", writes: true, run: assignIPv4},
		{name: "UnassignPrivateIpAddresses", writes: true, run: unassignIPv4},
	}
}

type assigned4XML struct {
	Addr string `xml:"privateIpAddress"`
}

type assignIPv4Answer struct {
	head
	InterfaceID string         `xml:"networkInterfaceId"`
	Addresses   []assigned4XML `xml:"assignedPrivateIpAddressesSet>item"`
	Prefixes    []prefix4XML   `xml:"assignedIpv4PrefixSet>item"`
}

// wish is what an assignment asks for: one of its four ways.
type wish struct {
	addrs, prefixes         []string
	addrCount, prefixCount  int
	hasAddrCount, hasPrefix bool
}

// readWish reads the four ways under the names that the action has for them.
func readWish(p *params, addr, addrCount, prefix, prefixCount string) (q wish, err error) {
	q.addrs, q.prefixes = p.list(addr), p.list(prefix)
	if q.addrCount, q.hasAddrCount, err = p.count(addrCount); err != nil {
		return q, err
	}
	q.prefixCount, q.hasPrefix, err = p.count(prefixCount)
	return q, err
}

// check that exactly one way is used, with a sensible number.
func (q wish) check(addr, addrCount, prefix, prefixCount string) error {
	ways := 0
	for _, used := range []bool{len(q.addrs) > 0, q.hasAddrCount, len(q.prefixes) > 0, q.hasPrefix} {
		if used {
			ways++
		}
	}
	if ways != 1 {
		// EC2's words, as it says them of IPv6: https://github.com/aws/karpenter-provider-aws/issues/2187
		return invalidValue("You can and can only specify one of %s or %s, %s and %s.", addr, addrCount, prefix, prefixCount)
	}
	if q.hasAddrCount && q.addrCount < 1 || q.hasPrefix && q.prefixCount < 1 {
		return invalidValue("Value (%d) for parameter count is invalid. Expecting a value greater than 0.", q.addrCount+q.prefixCount)
	}
	return nil
}

func assignIPv4(w *World, p *params) (answer, error) {
	id := p.text("NetworkInterfaceId")
	q, err := readWish(p, "PrivateIpAddress", "SecondaryPrivateIpAddressCount", "Ipv4Prefix", "Ipv4PrefixCount")
	if err != nil {
		return nil, err
	}
	move, err := p.flag("AllowReassignment")
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	nic, err := w.networkInterface(id)
	if err != nil {
		return nil, err
	}
	if err := q.check("private-ip-addresses", "secondary-private-ip-address-count", "ipv4-prefix", "ipv4-prefix-count"); err != nil {
		return nil, err
	}
	return w.assign4(nic, q, move)
}

func (w *World) assign4(nic *NetworkInterface, q wish, move bool) (answer, error) {
	if len(q.prefixes) > 0 || q.hasPrefix {
		return w.assignPrefixes4(nic, q)
	}
	return w.assignAddrs4(nic, q, move)
}

func (w *World) assignAddrs4(nic *NetworkInterface, q wish, move bool) (answer, error) {
	space := w.space4(w.Subnets[nic.SubnetID])
	addrs, err := space.addrsToAssign(nic, q, move)
	if err != nil {
		return nil, err
	}
	if err := w.checkIPv4Limit(nic, max(q.addrCount, len(addrs)), false); err != nil {
		return nil, err
	}
	if len(addrs) < q.addrCount {
		return nil, noFreeAddresses()
	}
	out := &assignIPv4Answer{InterfaceID: nic.ID}
	for _, addr := range addrs {
		for _, other := range w.Interfaces {
			other.SecondaryIPv4 = slices.DeleteFunc(other.SecondaryIPv4, func(a netip.Addr) bool {
				return other.SubnetID == nic.SubnetID && a == addr
			})
		}
		nic.SecondaryIPv4 = append(nic.SecondaryIPv4, addr)
		out.Addresses = append(out.Addresses, assigned4XML{addr.String()})
	}
	return out, nil
}

// addrsToAssign are the addresses that the interface does not have yet: asking for those that it has is no failure.
func (s space4) addrsToAssign(nic *NetworkInterface, q wish, move bool) ([]netip.Addr, error) {
	if q.hasAddrCount {
		return s.freeAddrs(q.addrCount), nil
	}
	var out []netip.Addr
	var taken []string
	for _, text := range q.addrs {
		addr, at, err := s.parse(text)
		if err != nil {
			return nil, err
		}
		switch held := s.holder[at]; {
		case held != nil && held.nic == nic && !held.ofBlock, slices.Contains(out, addr):
			// Nothing is left to do.
		case held == nil, move && held.isMovable():
			out = append(out, addr)
		default:
			taken = append(taken, text)
		}
	}
	if len(taken) > 0 {
		return nil, invalidValue("[%s] assigned, but move is not allowed.", strings.Join(taken, ", "))
	}
	return out, nil
}

// parse finds an address that a request may ask for.
func (s space4) parse(text string) (addr netip.Addr, at int, err error) {
	addr, err = netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return addr, 0, invalidValue("invalid value for parameter address: %s", text)
	}
	at, ok := s.index(addr)
	if !ok {
		return addr, 0, invalidValue("Address does not fall within the subnet's address range")
	}
	if held := s.holder[at]; held != nil && held.nic == nil {
		return addr, 0, invalidValue("Address %s is in subnet's reserved address range", text)
	}
	return addr, at, nil
}

func (w *World) assignPrefixes4(nic *NetworkInterface, q wish) (answer, error) {
	space := w.space4(w.Subnets[nic.SubnetID])
	if err := w.checkIPv4Limit(nic, max(q.prefixCount, len(q.prefixes)), true); err != nil {
		return nil, err
	}
	prefixes, err := space.prefixesToAssign(q)
	if err != nil {
		return nil, err
	}
	nic.IPv4Prefixes = append(nic.IPv4Prefixes, prefixes...)
	out := &assignIPv4Answer{InterfaceID: nic.ID}
	for _, prefix := range prefixes {
		out.Prefixes = append(out.Prefixes, prefix4XML{prefix.String()})
	}
	return out, nil
}

func (s space4) prefixesToAssign(q wish) ([]netip.Prefix, error) {
	if q.hasPrefix {
		out := s.freeBlocks(q.prefixCount)
		switch {
		case len(out) == q.prefixCount:
			return out, nil
		case s.free() < q.prefixCount*block4:
			return nil, noRoomForPrefixes()
		default:
			return nil, noFreeBlocks()
		}
	}
	var out []netip.Prefix
	for _, text := range q.prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Bits() != 28 || prefix != prefix.Masked() {
			return nil, invalidValue("invalid value for parameter prefix: %s", text)
		}
		at, ok := s.index(prefix.Addr())
		if !ok {
			return nil, invalidValue("Address does not fall within the subnet's address range")
		}
		if !s.isFree(at) || slices.Contains(out, prefix) {
			return nil, noFreeBlocks()
		}
		out = append(out, prefix)
	}
	return out, nil
}

func unassignIPv4(w *World, p *params) (answer, error) {
	id := p.text("NetworkInterfaceId")
	addrs, prefixes := p.list("PrivateIpAddress"), p.list("Ipv4Prefix")
	if err := p.end(); err != nil {
		return nil, err
	}
	nic, err := w.networkInterface(id)
	if err != nil {
		return nil, err
	}
	if len(addrs)+len(prefixes) == 0 {
		return nil, missingParameter("privateIpAddress")
	}
	for _, text := range addrs {
		if nic.PrimaryIPv4.IsValid() && text == nic.PrimaryIPv4.String() {
			return nil, invalidValue("Value (%s) for parameter privateIpAddress is invalid. The primary IP address of an interface cannot be unassigned.", text)
		}
	}
	if !holdsAll(nic.SecondaryIPv4, addrs) || !holdsAll(nic.IPv4Prefixes, prefixes) {
		return nil, invalidValue("Some of the specified addresses are not assigned to interface %s", nic.ID)
	}
	nic.SecondaryIPv4 = without(nic.SecondaryIPv4, addrs)
	nic.IPv4Prefixes = without(nic.IPv4Prefixes, prefixes)
	return &done{Return: true}, nil
}

// holdsAll says whether all of the texts are among the items.
func holdsAll[T interface{ String() string }](items []T, texts []string) bool {
	held := textsOf(items)
	return !slices.ContainsFunc(texts, func(text string) bool { return !slices.Contains(held, text) })
}

func without[T interface{ String() string }](items []T, texts []string) []T {
	return slices.DeleteFunc(slices.Clone(items), func(item T) bool { return slices.Contains(texts, item.String()) })
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"net/netip"
	"slices"
	"strings"
)

func ipv6Actions() []action {
	return []action{
		{name: "AssignIpv6Addresses", writes: true, run: assignIPv6},
		{name: "UnassignIpv6Addresses", writes: true, run: unassignIPv6},
	}
}

type assignIPv6Answer struct {
	head
	InterfaceID string   `xml:"networkInterfaceId"`
	Addresses   []string `xml:"assignedIpv6Addresses>item"`
	Prefixes    []string `xml:"assignedIpv6PrefixSet>item"`
}

type unassignIPv6Answer struct {
	head
	InterfaceID string   `xml:"networkInterfaceId"`
	Addresses   []string `xml:"unassignedIpv6Addresses>item"`
	Prefixes    []string `xml:"unassignedIpv6PrefixSet>item"`
}

func assignIPv6(w *World, p *params) (answer, error) {
	id := p.text("NetworkInterfaceId")
	q, err := readWish(p, "Ipv6Addresses", "Ipv6AddressCount", "Ipv6Prefix", "Ipv6PrefixCount")
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
	if err := q.check("ipv6-addresses", "ipv6-addresses-count", "ipv6-prefix", "ipv6-prefix-count"); err != nil {
		return nil, err
	}
	return w.assign6(nic, q)
}

func (w *World) assign6(nic *NetworkInterface, q wish) (answer, error) {
	subnet := w.Subnets[nic.SubnetID]
	if !subnet.IPv6CIDR.IsValid() {
		// In words of ours: no report of EC2's was found.
		return nil, invalidValue("The subnet %s does not have an IPv6 CIDR block", subnet.ID)
	}
	space := w.space6(subnet)
	out := &assignIPv6Answer{InterfaceID: nic.ID}
	if len(q.prefixes) > 0 || q.hasPrefix {
		if err := w.checkIPv6Limit(nic, max(q.prefixCount, len(q.prefixes)), true); err != nil {
			return nil, err
		}
		prefixes, err := space.prefixesToAssign(q)
		if err != nil {
			return nil, err
		}
		nic.IPv6Prefixes = append(nic.IPv6Prefixes, prefixes...)
		out.Prefixes = textsOf(prefixes)
		return out, nil
	}
	if err := w.checkIPv6Limit(nic, q.addrCount, false); err != nil {
		return nil, err
	}
	addrs, err := space.addrsToAssign(nic, q)
	if err != nil {
		return nil, err
	}
	if err := w.checkIPv6Limit(nic, len(addrs), false); err != nil {
		return nil, err
	}
	nic.SecondaryIPv6 = append(nic.SecondaryIPv6, addrs...)
	out.Addresses = textsOf(addrs)
	return out, nil
}

// addrsToAssign are the addresses that the interface does not have yet.
func (s space6) addrsToAssign(nic *NetworkInterface, q wish) ([]netip.Addr, error) {
	if q.hasAddrCount {
		out := s.freeAddrs(q.addrCount)
		if len(out) < q.addrCount {
			return nil, noFreeAddresses()
		}
		return out, nil
	}
	var out []netip.Addr
	var taken []string
	for _, text := range q.addrs {
		addr, err := netip.ParseAddr(text)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return nil, invalidValue("invalid value for parameter address: %s", text)
		}
		switch {
		case !s.cidr.Contains(addr):
			return nil, invalidValue("Address does not fall within the subnet's address range")
		case s.reserved(addr):
			return nil, invalidValue("Address %s is in subnet's reserved address range", text)
		case s.addrs[addr] == nic || slices.Contains(out, addr):
			// It has it already, which is no failure.
		case s.addrs[addr] != nil || s.blocks[blockOf(addr)] != nil:
			taken = append(taken, text)
		default:
			out = append(out, addr)
		}
	}
	if len(taken) > 0 {
		return nil, invalidValue("[%s] assigned, but move is not allowed.", strings.Join(taken, ", "))
	}
	return out, nil
}

func (s space6) prefixesToAssign(q wish) ([]netip.Prefix, error) {
	if q.hasPrefix {
		out := s.freeBlocks(q.prefixCount)
		if len(out) < q.prefixCount {
			return nil, noFreeBlocks()
		}
		return out, nil
	}
	var out []netip.Prefix
	taken := s.takenBlocks()
	for _, text := range q.prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Bits() != 80 || prefix != prefix.Masked() {
			return nil, invalidValue("invalid value for parameter prefix: %s", text)
		}
		if !s.cidr.Contains(prefix.Addr()) {
			return nil, invalidValue("Address does not fall within the subnet's address range")
		}
		if taken[prefix] {
			return nil, noFreeBlocks()
		}
		taken[prefix] = true
		out = append(out, prefix)
	}
	return out, nil
}

func unassignIPv6(w *World, p *params) (answer, error) {
	id := p.text("NetworkInterfaceId")
	addrs, prefixes := p.list("Ipv6Addresses"), p.list("Ipv6Prefix")
	if err := p.end(); err != nil {
		return nil, err
	}
	nic, err := w.networkInterface(id)
	if err != nil {
		return nil, err
	}
	if len(addrs)+len(prefixes) == 0 {
		return nil, missingParameter("ipv6Addresses")
	}
	if !holdsAll(nic.ipv6(), addrs) || !holdsAll(nic.IPv6Prefixes, prefixes) {
		return nil, invalidValue("Some of the specified addresses are not assigned to interface %s", nic.ID)
	}
	if nic.PrimaryIPv6.IsValid() && slices.Contains(addrs, nic.PrimaryIPv6.String()) {
		if nic.FlagPrimaryIPv6 {
			return nil, invalidValue("Value (%s) for parameter ipv6Addresses is invalid. The primary IP address of an interface cannot be unassigned.", nic.PrimaryIPv6)
		}
		nic.PrimaryIPv6 = netip.Addr{}
	}
	nic.SecondaryIPv6 = without(nic.SecondaryIPv6, addrs)
	nic.IPv6Prefixes = without(nic.IPv6Prefixes, prefixes)
	return &unassignIPv6Answer{InterfaceID: nic.ID, Addresses: addrs, Prefixes: prefixes}, nil
}

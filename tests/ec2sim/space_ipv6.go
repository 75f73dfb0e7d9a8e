// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
)

// space6 is a subnet's IPv6 addresses, of which there are too many to draw a map: who holds which.
type space6 struct {
	cidr   netip.Prefix
	addrs  map[netip.Addr]*NetworkInterface
	blocks map[netip.Prefix]*NetworkInterface
	// reservations by CIDR, with their types.
	reservations map[netip.Prefix]string
}

func (w *World) space6(subnet *Subnet) space6 {
	s := space6{
		cidr:   subnet.IPv6CIDR.Masked(),
		addrs:  map[netip.Addr]*NetworkInterface{},
		blocks: map[netip.Prefix]*NetworkInterface{},

		reservations: map[netip.Prefix]string{},
	}
	for _, r := range w.Reservations {
		if r.SubnetID == subnet.ID && r.CIDR.Addr().Is6() {
			s.reservations[r.CIDR.Masked()] = r.Type
		}
	}
	for _, nic := range w.Interfaces {
		if nic.SubnetID != subnet.ID {
			continue
		}
		for _, addr := range nic.ipv6() {
			s.addrs[addr] = nic
		}
		for _, prefix := range nic.IPv6Prefixes {
			s.blocks[prefix.Masked()] = nic
		}
	}
	return s
}

// reserved says whether an address is AWS's: the first four and the last of a subnet.
func (s space6) reserved(addr netip.Addr) bool {
	return addr.Compare(s.number(4)) < 0 || addr == lastAddr(s.cidr)
}

// number gives the subnet's address with the host part n.
func (s space6) number(n uint64) netip.Addr {
	sixteen := s.cidr.Addr().As16()
	binary.BigEndian.PutUint64(sixteen[8:], binary.BigEndian.Uint64(sixteen[8:])|n)
	return netip.AddrFrom16(sixteen)
}

// blockOf is the /80 that an address is in.
func blockOf(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, 80).Masked() }

// freeAddrs gives the lowest n free addresses.
func (s space6) freeAddrs(n int) []netip.Addr {
	var out []netip.Addr
	for addr := s.number(4); s.cidr.Contains(addr) && len(out) < n; addr = addr.Next() {
		if in, kind := s.reservation(addr); kind != "" {
			addr = lastAddr(in)
			continue
		}
		if s.blocks[blockOf(addr)] != nil {
			addr = lastAddr(blockOf(addr))
			continue
		}
		if s.addrs[addr] == nil && !s.reserved(addr) {
			out = append(out, addr)
		}
	}
	return out
}

// reservation that an address is in; the type is empty for none.
func (s space6) reservation(addr netip.Addr) (netip.Prefix, string) {
	for cidr, kind := range s.reservations {
		if cidr.Contains(addr) {
			return cidr, kind
		}
	}
	return netip.Prefix{}, ""
}

// freeBlocks gives the lowest n free /80, or all if there are fewer: first those of reservations of type prefix, then
// what nobody has reserved.
func (s space6) freeBlocks(n int) []netip.Prefix {
	var out []netip.Prefix
	taken := s.takenBlocks()
	for _, cidr := range slices.SortedFunc(maps.Keys(s.reservations), netip.Prefix.Compare) {
		if s.reservations[cidr] != "prefix" {
			continue
		}
		for block := blockOf(cidr.Addr()); cidr.Contains(block.Addr()) && len(out) < n; block = blockOf(lastAddr(block).Next()) {
			if !taken[block] {
				out = append(out, block)
			}
		}
	}
	for block := blockOf(s.cidr.Addr()); s.cidr.Contains(block.Addr()) && len(out) < n; block = blockOf(lastAddr(block).Next()) {
		if cidr, kind := s.reservation(block.Addr()); kind != "" {
			block = blockOf(lastAddr(cidr))
			continue
		}
		if !taken[block] {
			out = append(out, block)
		}
	}
	return out
}

// takenBlocks are those /80 of which any address is taken.
func (s space6) takenBlocks() map[netip.Prefix]bool {
	taken := map[netip.Prefix]bool{blockOf(s.cidr.Addr()): true, blockOf(lastAddr(s.cidr)): true}
	for block := range s.blocks {
		taken[block] = true
	}
	for addr := range s.addrs {
		taken[blockOf(addr)] = true
	}
	return taken
}

// lastAddr of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	bytes := slices.Clone(p.Masked().Addr().AsSlice())
	for i := p.Bits(); i < len(bytes)*8; i++ {
		bytes[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

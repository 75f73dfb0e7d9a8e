// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"encoding/binary"
	"net/netip"
)

// space4 is a subnet's IPv4 addresses: who holds which.
type space4 struct {
	cidr netip.Prefix
	base uint32
	// holder of each address: nil for a free one.
	holder []*holding
	// reserved is the type of the reservation that an address is in; empty for none.
	reserved []string
}

// holding says who holds an address, and as what.
type holding struct {
	// nic is nil for AWS itself.
	nic              *NetworkInterface
	primary, ofBlock bool
}

// isMovable says whether an address can be moved to another interface.
func (h *holding) isMovable() bool { return h.nic != nil && !h.primary && !h.ofBlock }

// block4 is how many addresses a delegated prefix has.
const block4 = 16

// space4 draws the map of a subnet; EC2's subnets have at most 65,536 addresses.
func (w *World) space4(subnet *Subnet) space4 {
	s := space4{cidr: subnet.CIDR.Masked()}
	if !s.cidr.IsValid() {
		return s
	}
	s.base = toUint(s.cidr.Addr())
	s.holder = make([]*holding, 1<<min(16, 32-s.cidr.Bits()))
	// The first four and the last belong to AWS: network, gateway, DNS, future use, broadcast.
	// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
	aws := &holding{}
	for _, i := range []int{0, 1, 2, 3, len(s.holder) - 1} {
		if i < len(s.holder) {
			s.holder[i] = aws
		}
	}
	s.reserved = make([]string, len(s.holder))
	for _, r := range w.Reservations {
		at, ok := s.index(r.CIDR.Addr())
		for i := at; ok && r.SubnetID == subnet.ID && i < len(s.holder) && r.CIDR.Contains(s.at(i)); i++ {
			s.reserved[i] = r.Type
		}
	}
	for _, nic := range w.Interfaces {
		if nic.SubnetID != subnet.ID {
			continue
		}
		s.hold(nic.PrimaryIPv4, 1, &holding{nic: nic, primary: true})
		for _, addr := range nic.SecondaryIPv4 {
			s.hold(addr, 1, &holding{nic: nic})
		}
		for _, prefix := range nic.IPv4Prefixes {
			s.hold(prefix.Addr(), block4, &holding{nic: nic, ofBlock: true})
		}
	}
	return s
}

func (s space4) hold(first netip.Addr, n int, by *holding) {
	for i := range n {
		if at, ok := s.index(first); ok && at+i < len(s.holder) {
			s.holder[at+i] = by
		}
	}
}

// index of an address; false when it is outside of the subnet.
func (s space4) index(addr netip.Addr) (int, bool) {
	if !addr.Is4() || !s.cidr.IsValid() || !s.cidr.Contains(addr) {
		return 0, false
	}
	at := int(toUint(addr) - s.base)
	return at, at < len(s.holder)
}

func (s space4) at(i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, s.base+uint32(i))))
}

func (s space4) free() int {
	n := 0
	for _, h := range s.holder {
		if h == nil {
			n++
		}
	}
	return n
}

// freeAddrs gives the lowest n free addresses, or all if there are fewer. EC2 scatters them; here tests can foresee. It
// chooses none out of a reservation: those of type prefix are for prefixes, those of type explicit for what users name.
// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-cidr-reservation.html
func (s space4) freeAddrs(n int) []netip.Addr {
	var out []netip.Addr
	for i := 0; i < len(s.holder) && len(out) < n; i++ {
		if s.holder[i] == nil && s.reserved[i] == "" {
			out = append(out, s.at(i))
		}
	}
	return out
}

// freeBlocks gives the lowest n free aligned /28, or all if there are fewer: first those of reservations of type prefix,
// then what nobody has reserved (a maintainer in https://github.com/aws/amazon-vpc-cni-k8s/issues/2749).
func (s space4) freeBlocks(n int) []netip.Prefix {
	var out []netip.Prefix
	for _, kind := range []string{"prefix", ""} {
		for i := 0; i+block4 <= len(s.holder) && len(out) < n; i += block4 {
			if s.isFree(i) && s.reserved[i] == kind && s.reserved[i+block4-1] == kind {
				out = append(out, netip.PrefixFrom(s.at(i), 28))
			}
		}
	}
	return out
}

// isFree says whether the whole block at i is.
func (s space4) isFree(i int) bool {
	if i+block4 > len(s.holder) {
		return false
	}
	for _, h := range s.holder[i : i+block4] {
		if h != nil {
			return false
		}
	}
	return true
}

func toUint(addr netip.Addr) uint32 {
	four := addr.As4()
	return binary.BigEndian.Uint32(four[:])
}

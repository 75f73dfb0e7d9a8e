// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// alike says whether two programs do the same with what the endpoint usually sends, and with the same of a neighbour.
func (e *Endpoint) alike(one, other string) bool {
	first, err := machine(one)
	if err != nil {
		return false
	}
	second, err := machine(other)
	if err != nil {
		return false
	}
	for _, frame := range e.frames() {
		a, errOfFirst := first.Run(frame)
		b, errOfSecond := second.Run(frame)
		if a != b || errOfFirst != nil || errOfSecond != nil {
			return false
		}
	}
	return true
}

// machine runs a program of classic BPF as the kernel does.
func machine(program string) (*bpf.VM, error) {
	const size = 8 // of an instruction
	var list []bpf.Instruction
	for p := []byte(program); len(p) >= size; p = p[size:] {
		list = append(list, bpf.RawInstruction{Op: binary.NativeEndian.Uint16(p), Jt: p[2], Jf: p[3], K: binary.NativeEndian.Uint32(p[4:])}.Disassemble())
	}
	return bpf.NewVM(list)
}

// frames of each kind: from the endpoint's own addresses and from others, to the metadata service and elsewhere.
func (e *Endpoint) frames() [][]byte {
	const tcp, icmpv6, advertisement = 6, 58, 136
	list := [][]byte{ethernet(unix.ETH_P_8021Q, 64, nil)}
	to4, to6 := metadataServices()
	for _, a := range e.Addresses {
		own := a.Prefix.Addr()
		for _, from := range []netip.Addr{own, neighbourOf(own)} {
			if from.Is4() {
				list = append(list, ethernet(unix.ETH_P_ARP, 28, map[int][]byte{14: from.AsSlice()}))
				for _, to := range []netip.Addr{to4, neighbourOf(to4)} {
					list = append(list, ethernet(unix.ETH_P_IP, 40, map[int][]byte{12: from.AsSlice(), 16: to.AsSlice()}))
				}
				continue
			}
			list = append(list, ethernet(unix.ETH_P_IPV6, 64, map[int][]byte{6: {icmpv6}, 8: own.AsSlice(), 40: {advertisement}, 48: from.AsSlice()}))
			for _, to := range []netip.Addr{to6, neighbourOf(to6)} {
				list = append(list, ethernet(unix.ETH_P_IPV6, 60, map[int][]byte{6: {tcp}, 8: from.AsSlice(), 24: to.AsSlice()}))
			}
		}
	}
	return list
}

// neighbourOf differs in the last bit.
func neighbourOf(a netip.Addr) netip.Addr {
	bytes := a.AsSlice()
	bytes[len(bytes)-1] ^= 1
	other, _ := netip.AddrFromSlice(bytes)
	return other
}

// ethernet makes a frame of parts that stand at offsets behind its header.
func ethernet(kind uint16, size int, parts map[int][]byte) []byte {
	const header = 14
	frame := make([]byte, header+size)
	binary.BigEndian.PutUint16(frame[kindOfFrame:], kind)
	for at, part := range parts {
		copy(frame[header+at:], part)
	}
	return frame
}

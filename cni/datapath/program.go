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

// program is what filters look at in frames of each kind; a kind without checks misses, and so do all others.
type program struct{ ipv4, arp, ipv6 checks }

// checks are made one after the other; what passes them all matches.
type checks []check

// check compares what a load finds. What differs misses, unless another outcome is set.
type check struct {
	load  bpf.LoadAbsolute
	value uint32
	// matches: what differs matches at once.
	matches bool
	// equalMisses: what is equal misses, and what differs passes.
	equalMisses bool
	// over is how many of the next checks are for what is equal alone.
	over int
}

// is misses what does not have the address there.
func (c checks) is(a netip.Addr, offset uint32) checks {
	words := a.AsSlice()
	for i := 0; i < len(words); i += 4 {
		c = append(c, check{load: bpf.LoadAbsolute{Off: offset + uint32(i), Size: 4}, value: binary.BigEndian.Uint32(words[i:])})
	}
	return c
}

// orNot matches at once what does not have the byte there.
func (c checks) orNot(offset, value uint32) checks {
	return append(c, check{load: bpf.LoadAbsolute{Off: offset, Size: 1}, value: value, matches: true})
}

// not misses what has one of the bytes there.
func (c checks) not(offset uint32, values ...uint32) checks {
	for _, value := range values {
		c = append(c, check{load: bpf.LoadAbsolute{Off: offset, Size: 1}, value: value, equalMisses: true})
	}
	return c
}

// where makes other checks of what has the byte there.
func (c checks) where(offset, value uint32, others checks) checks {
	return append(append(c, check{load: bpf.LoadAbsolute{Off: offset, Size: 1}, value: value, over: len(others)}), others...)
}

// assemble makes instructions of the checks, which end with both results.
func (c checks) assemble(match, miss uint32) []bpf.Instruction {
	if len(c) == 0 {
		return []bpf.Instruction{bpf.RetConstant{Val: miss}}
	}
	var list []bpf.Instruction
	for i, one := range c {
		jump := bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: one.value}
		toMatch := 2 * (len(c) - i - 1)
		switch {
		case one.over > 0:
			jump.SkipTrue = uint8(2 * one.over)
		case one.matches:
			jump.SkipTrue = uint8(toMatch)
		default:
			jump.SkipTrue = uint8(toMatch + 1)
		}
		if one.equalMisses {
			jump.Cond = bpf.JumpEqual
		}
		list = append(list, one.load, jump)
	}
	return append(list, bpf.RetConstant{Val: match}, bpf.RetConstant{Val: miss})
}

// assemble makes the program's bytes, as the kernel takes them and gives them back.
func (p program) assemble(match, miss uint32) string {
	list := []bpf.Instruction{bpf.LoadAbsolute{Off: kindOfFrame, Size: 2}}
	parts := []struct {
		kind uint32
		list []bpf.Instruction
	}{{unix.ETH_P_IP, p.ipv4.assemble(match, miss)}, {unix.ETH_P_ARP, p.arp.assemble(match, miss)}, {unix.ETH_P_IPV6, p.ipv6.assemble(match, miss)}}
	skip := len(parts) // the jumps behind the first one, and the result at their end
	for _, part := range parts {
		list = append(list, bpf.JumpIf{Cond: bpf.JumpEqual, Val: part.kind, SkipTrue: uint8(skip)})
		skip += len(part.list) - 1
	}
	list = append(list, bpf.RetConstant{Val: miss})
	for _, part := range parts {
		list = append(list, part.list...)
	}
	return operations(list)
}

func operations(list []bpf.Instruction) string {
	raw, err := bpf.Assemble(list)
	if err != nil {
		panic(err) // of programs that we wrote
	}
	var data []byte
	for _, r := range raw {
		data = binary.NativeEndian.AppendUint16(data, r.Op)
		data = append(data, r.Jt, r.Jf)
		data = binary.NativeEndian.AppendUint32(data, r.K)
	}
	return string(data)
}

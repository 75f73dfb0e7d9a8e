// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package iprange

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// number is an address as an unsigned integer of 128 bits.
type number struct{ hi, lo uint64 }

func toNumber(a netip.Addr) number {
	if a.Is4() {
		b := a.As4()
		return number{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func toAddr(n number, is4 bool) netip.Addr {
	if is4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}

func (n number) xor(o number) number { return number{n.hi ^ o.hi, n.lo ^ o.lo} }
func (n number) and(o number) number { return number{n.hi & o.hi, n.lo & o.lo} }
func (n number) or(o number) number  { return number{n.hi | o.hi, n.lo | o.lo} }

func (n number) less(o number) bool { return n.hi < o.hi || n.hi == o.hi && n.lo < o.lo }

func (n number) plus(m uint64) number {
	lo, carry := bits.Add64(n.lo, m, 0)
	return number{n.hi + carry, lo}
}

func (n number) minus(o number) number {
	lo, borrow := bits.Sub64(n.lo, o.lo, 0)
	hi, _ := bits.Sub64(n.hi, o.hi, borrow)
	return number{hi, lo}
}

// len is the position of the highest bit that is set, counted from one.
func (n number) len() int {
	if n.hi != 0 {
		return 64 + bits.Len64(n.hi)
	}
	return bits.Len64(n.lo)
}

// hostMask has the lowest n bits set, n from 0 to 128.
func hostMask(n int) number {
	if n > 64 {
		return number{math.MaxUint64 >> (128 - n), math.MaxUint64}
	}
	return number{0, 1<<n - 1} // a shift by 64 gives 0, and 0-1 all ones
}

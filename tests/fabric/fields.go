// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"slices"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// firstRegister is nftables' first register of four bytes. Values in registers one after the other are a concatenation.
const firstRegister = unix.NFT_REG32_00

// field is a part of a packet or of what the kernel knows about it.
type field struct {
	bytes uint32
	load  func(register uint32) expr.Any
}

// registers is how many registers the field takes.
func (f field) registers() uint32 { return (f.bytes + 3) / 4 }

func meta(key expr.MetaKey, bytes uint32) field {
	return field{bytes, func(register uint32) expr.Any { return &expr.Meta{Key: key, Register: register} }}
}

func payload(base expr.PayloadBase, offset, bytes uint32) field {
	return field{bytes, func(register uint32) expr.Any {
		return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: bytes}
	}}
}

func inputLink() field      { return meta(expr.MetaKeyIIFNAME, unix.IFNAMSIZ) }
func outputLink() field     { return meta(expr.MetaKeyOIFNAME, unix.IFNAMSIZ) }
func familyOfPacket() field { return meta(expr.MetaKeyNFPROTO, 1) }

// outputLinkPrefix is the beginning of the name: a comparison looks at as many bytes as it is given.
func outputLinkPrefix(bytes int) field { return meta(expr.MetaKeyOIFNAME, uint32(bytes)) }

func etherDestination() field      { return payload(expr.PayloadBaseLLHeader, 0, 6) }
func etherDestinationFirst() field { return payload(expr.PayloadBaseLLHeader, 0, 1) } // byte, with the multicast bit
func etherSource() field           { return payload(expr.PayloadBaseLLHeader, 6, 6) }
func etherType() field             { return payload(expr.PayloadBaseLLHeader, 12, 2) }

func arpSenderMAC() field { return payload(expr.PayloadBaseNetworkHeader, 8, 6) }
func arpSender() field    { return payload(expr.PayloadBaseNetworkHeader, 14, 4) }

func source4() field      { return payload(expr.PayloadBaseNetworkHeader, 12, 4) }
func destination4() field { return payload(expr.PayloadBaseNetworkHeader, 16, 4) }

func nextHeader() field   { return payload(expr.PayloadBaseNetworkHeader, 6, 1) }
func source6() field      { return payload(expr.PayloadBaseNetworkHeader, 8, 16) }
func destination6() field { return payload(expr.PayloadBaseNetworkHeader, 24, 16) }

// Neighbour discovery has no extension headers, so its ICMPv6 begins after the 40 bytes of the IPv6 header.
func icmpType() field        { return payload(expr.PayloadBaseNetworkHeader, 40, 1) }
func neighbourTarget() field { return payload(expr.PayloadBaseNetworkHeader, 48, 16) }

// linkName is a link's name as nftables has it.
func linkName(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// pad fills the last register of a value.
func pad(value []byte) []byte {
	return slices.Concat(value, make([]byte, -len(value)&3))
}

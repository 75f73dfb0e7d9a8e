// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// fromENIs are the rules for frames from ENIs, in order.
func (f *filter) fromENIs() [][]expr.Any {
	arp := is(etherType(), []byte{0x08, 0x06})
	v4 := is(etherType(), []byte{0x08, 0x00})
	v6 := is(etherType(), []byte{0x86, 0xdd})
	solicitation := rule(v6, is(nextHeader(), []byte{unix.IPPROTO_ICMPV6}), is(icmpType(), []byte{135}))
	advertisement := rule(v6, is(nextHeader(), []byte{unix.IPPROTO_ICMPV6}), is(icmpType(), []byte{136}))
	multicast := hasBits(etherDestinationFirst(), 0x01)
	toRouter := is(etherDestination(), routerMAC())
	return [][]expr.Any{
		rule(notIn(f.stations, inputLink(), etherSource()), f.drop(WrongMAC)),

		rule(arp, notIn(f.stations, inputLink(), arpSenderMAC()), f.drop(WrongMAC)),
		rule(arp, is(arpSender(), zeros(4)), f.drop(UnspecifiedSource)),
		rule(arp, notIn(f.sources.v4, inputLink(), arpSender()), f.drop(WrongSource)),
		rule(arp, accept()),

		rule(v4, is(source4(), zeros(4)), f.drop(UnspecifiedSource)),
		rule(v4, isMasked(source4(), []byte{255, 255, 0, 0}, []byte{169, 254, 0, 0}), f.drop(LinkLocalSource)),
		rule(v4, notIn(f.sources.v4, inputLink(), source4()), f.drop(WrongSource)),
		rule(v6, is(source6(), zeros(16)), f.drop(UnspecifiedSource)),
		rule(v6, isMasked(source6(), []byte{0xff, 0xc0, 15: 0}, []byte{0xfe, 0x80, 15: 0}), f.drop(LinkLocalSource)),
		rule(v6, notIn(f.sources.v6, inputLink(), source6()), f.drop(WrongSource)),
		rule(advertisement, notIn(f.sources.v6, inputLink(), neighbourTarget()), f.drop(WrongSource)),

		rule(solicitation, multicast, accept()),
		rule(advertisement, multicast, accept()),
		rule(multicast, f.drop(Multicast)),
		rule(v4, toRouter, accept()),
		rule(v6, toRouter, accept()),
		rule(v4, notIn(f.receivers.v4, etherDestination(), destination4()), f.drop(UnboundDestination)),
		rule(v4, accept()),
		rule(v6, notIn(f.receivers.v6, etherDestination(), destination6()), f.drop(UnboundDestination)),
		rule(v6, accept()),
		rule(f.drop(NotIP)),
	}
}

// forwarded are the rules for packets that the router forwards, in order.
func (f *filter) forwarded() [][]expr.Any {
	toSubnet := is(outputLinkPrefix(len(bridgePrefix)), []byte(bridgePrefix))
	v4 := is(familyOfPacket(), []byte{unix.NFPROTO_IPV4})
	v6 := is(familyOfPacket(), []byte{unix.NFPROTO_IPV6})
	dropped := func(reason Reason) []expr.Any { return dropIn(f.dropped[1], reason) }
	return [][]expr.Any{
		rule(toSubnet, v4, notIn(f.held.v4, outputLink(), destination4()), dropped(UnboundDestination)),
		rule(toSubnet, v6, notIn(f.held.v6, outputLink(), destination6()), dropped(UnboundDestination)),
		rule(is(inputLink(), []byte(outsideLink+"\x00")), isNewConnection(), dropped(FromOutside)),
	}
}

// drop drops a frame, and counts it by its port and the reason.
func (f *filter) drop(reason Reason) []expr.Any { return dropIn(f.dropped[0], reason) }

func dropIn(counters *nftables.Set, reason Reason) []expr.Any {
	link := inputLink()
	return []expr.Any{
		link.load(firstRegister),
		&expr.Immediate{Register: firstRegister + link.registers(), Data: reason.key()},
		&expr.Dynset{SrcRegKey: firstRegister, SetName: counters.Name, Operation: unix.NFT_DYNSET_OP_UPDATE},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// rule joins parts of a rule: matches, all of which must hold, and what to do then.
func rule(parts ...[]expr.Any) []expr.Any { return slices.Concat(parts...) }

func expression(e expr.Any) []expr.Any { return []expr.Any{e} }

func accept() []expr.Any { return expression(&expr.Verdict{Kind: expr.VerdictAccept}) }

func is(f field, value []byte) []expr.Any {
	return []expr.Any{f.load(firstRegister), &expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: value}}
}

// isMasked matches a field of which the bits in mask are those of value.
func isMasked(f field, mask, value []byte) []expr.Any {
	return []expr.Any{
		f.load(firstRegister),
		&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: f.bytes, Mask: mask, Xor: zeros(len(mask))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: firstRegister, Data: value},
	}
}

// hasBits matches a field of one byte with any of the bits.
func hasBits(f field, bits byte) []expr.Any {
	return []expr.Any{
		f.load(firstRegister),
		&expr.Bitwise{SourceRegister: firstRegister, DestRegister: firstRegister, Len: 1, Mask: []byte{bits}, Xor: zeros(1)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: firstRegister, Data: zeros(1)},
	}
}

// notIn matches what is not in the set: the fields, one after the other.
func notIn(set *nftables.Set, fields ...field) []expr.Any {
	var exprs []expr.Any
	register := uint32(firstRegister)
	for _, f := range fields {
		exprs = append(exprs, f.load(register))
		register += f.registers()
	}
	return append(exprs, &expr.Lookup{SourceRegister: firstRegister, SetName: set.Name, SetID: set.ID, Invert: true})
}

func isNewConnection() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: firstRegister},
		&expr.Bitwise{
			SourceRegister: firstRegister, DestRegister: firstRegister, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW), Xor: zeros(4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: firstRegister, Data: zeros(4)},
	}
}

func zeros(n int) []byte { return make([]byte, n) }

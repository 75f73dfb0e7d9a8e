// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// filter is a traffic control filter as it should be, or as the kernel says it is. It can be compared.
type filter struct {
	index    int // of the link
	parent   uint32
	chain    uint32
	priority uint16
	handle   uint32
	// program is classic BPF. Its result is the verdict; of a filter that leads to another chain it says whether to go there. Filters see packets of
	// all protocols, and programs look at the frame alone: of what a raw socket sends, the sender chooses the protocol that the kernel believes in.
	program string
	// loaded is the name of a program of eBPF that the kernel has, instead of a program here.
	loaded string
	// next is the chain that the filter leads to; 0 if it does not.
	next uint32
	// action is done on the way to the next chain: actionTrack, actionSettle or none. Without a next chain, the next filter follows.
	action string
	// answers matches what answers in connections that were looked up, instead of a program.
	answers bool
	// redirect sends what matches to the link with this index: as if that sent it, or, of answers, as if it had come in there.
	redirect int
}

// Where filters stand: the kernel's TC_H_CLSACT with TC_H_MIN_INGRESS and TC_H_MIN_EGRESS.
const (
	clsact   = 0xfffffff1
	incoming = 0xfffffff2
	outgoing = 0xfffffff3
)

const (
	// filterPriority is that of our filters, but for those that come before a look at what a pod may change meanwhile, and for those of answers. Others may
	// have some too, on the node's interfaces.
	filterPriority  = 117
	honestPriority  = 115
	settledPriority = 116
	// metadataChain holds the filters of what is bound for the metadata service, so that other packets meet one filter, however many pods there are.
	metadataChain = 117
)

// The kernel's verdicts of filters: TC_ACT_OK, TC_ACT_SHOT, and TC_ACT_UNSPEC, with which the next filter decides; the latter is also what makes a
// program match that has no verdict.
const (
	pass      = 0
	drop      = 2
	undecided = math.MaxUint32
)

func (f filter) String() string {
	switch {
	case f.priority == honestPriority, f.priority == settledPriority:
		return "the node's filter of frames that change"
	case f.action != "", f.answers, f.loaded != "":
		return "the node's filter of what answers by the host leg"
	case f.redirect != 0:
		return "the filter that limits what comes in"
	case f.next != 0:
		return "the node's filter of what is bound for the metadata service"
	case f.chain == metadataChain:
		return "the filter that keeps the pod from the metadata service"
	}
	return "the filter that lets only the pod's own addresses out"
}

// wantFilters adds the filters in the pod.
func (e *Endpoint) wantFilters(w *want, l links) {
	w.filters = append(w.filters, filter{index: l.pod.index, parent: outgoing, priority: filterPriority, handle: 1, program: e.sourceProgram()})
	if e.Bandwidth.Ingress.Rate != 0 {
		w.filters = append(w.filters, incomingFilter(l.pod.index, e.limiterIndex()))
	}
}

// incomingFilter sends to the limiter what comes in. Of all classifiers that could, each kernel has this one, which pods need anyway: Amazon's lack
// cls_matchall.
func incomingFilter(index, limiter int) filter {
	return filter{index: index, parent: incoming, priority: filterPriority, handle: 1, program: everything(), redirect: limiter}
}

// everything matches.
func everything() string { return program{}.assemble(undecided, undecided) }

// metadataFilters keep the pod from the instance metadata service, on the node's interface: whatever the pod sends passes there, by raw sockets too. The
// memory of what those send may be the pod's still, by a packet socket's ring: it could show one address to the filters, and another to the wire. So the
// kernel first takes the headers out of that memory.
func (e *Endpoint) metadataFilters(master int) []filter {
	if !e.BlockMetadata {
		return nil
	}
	own := metadataFilter(e.Identity, master)
	own.program = e.metadataProgram()
	return []filter{
		sharedFilter(filter{index: master, parent: outgoing, priority: honestPriority, program: honesty()}),
		sharedFilter(filter{index: master, parent: outgoing, priority: settledPriority, program: packets(), action: actionSettle}),
		sharedFilter(filter{index: master, parent: outgoing, priority: filterPriority, program: metadataGate(), next: metadataChain}),
		own,
	}
}

// sharedFilter gives a filter that a node's pods share the handle of its program. So the first ADD of another version of the plugin puts its own beside the
// one that is there, which stays until the node boots.
func sharedFilter(f filter) filter {
	h := fnv.New32a()
	_, _ = h.Write([]byte(f.program)) // never fails
	f.handle = max(1, h.Sum32())
	return f
}

// shared says whether it is such a filter.
func (f filter) shared() bool {
	return f.priority == honestPriority || f.priority == settledPriority || f.next != 0
}

// replaces says whether the other one stands where this one should, and differs in its program alone.
func (f filter) replaces(other filter) bool {
	f.program = other.program
	if f.shared() {
		f.handle = other.handle
	}
	return f == other && f.program != ""
}

// packets matches those of IP.
func packets() string {
	return operations([]bpf.Instruction{
		bpf.LoadAbsolute{Off: kindOfFrame, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 1},
		bpf.RetConstant{Val: pass},
		bpf.RetConstant{Val: undecided},
	})
}

// honesty drops packets of IP of which a raw socket told the kernel that they are something else: it would take other headers out of the sender's memory
// than these. Nothing, or all protocols, is what the kernel before Linux 5.1 is told by honest senders, too.
func honesty() string {
	return operations([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 7},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ALL, SkipTrue: 6},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: kindOfFrame, Size: 2},
		bpf.JumpIfX{Cond: bpf.JumpEqual, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 1},
		bpf.RetConstant{Val: drop},
		bpf.RetConstant{Val: undecided},
	})
}

// metadataFilter is the pod's filter without program, which is enough to delete it.
func metadataFilter(i Identity, master int) filter {
	return filter{index: master, parent: outgoing, chain: metadataChain, priority: filterPriority, handle: i.filterHandle()}
}

// metadataServices are where cloud instances find their metadata, credentials among them. (AWS: "Retrieve instance metadata"; IPv4's is the same elsewhere.)
func metadataServices() (ipv4, ipv6 netip.Addr) {
	return netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")
}

// filterHandle of the interface's filters on the node's interface: of 32 bits, so two of a node's pods do not share one.
func (i Identity) filterHandle() uint32 {
	sum := i.sum()
	return max(1, binary.BigEndian.Uint32(sum[len(sum)-4:]))
}

// Offsets in a frame.
const (
	kindOfFrame     = 12
	sourceIPv4      = 14 + 12
	destinationIPv4 = 14 + 16
	senderARP       = 14 + 14
	sourceIPv6      = 14 + 8
	destinationIPv6 = 14 + 24
	nextHeader      = 14 + 6
	messageICMPv6   = 14 + 40
	neighbourTarget = messageICMPv6 + 8
	headerInOptions = 14 + 40
)

// sourceProgram lets out what comes from the interface's own addresses, and drops all else. A pod that may open raw sockets cannot speak for its
// neighbours then. What an advertisement of IPv6 speaks for stands in the message. So that none hides it, options for each hop and routes do not go out,
// which pods do not send, nor options for the destination with a message or further options behind them: tunnels have them ahead of their packets. (Of
// fragments, the kernel takes no such message.)
func (e *Endpoint) sourceProgram() string {
	const advertisement = 136
	options := checks(nil).not(headerInOptions, unix.IPPROTO_ICMPV6, unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS)
	var p program
	for _, a := range e.Addresses {
		if own := a.Prefix.Addr(); own.Is4() {
			p.ipv4 = p.ipv4.is(own, sourceIPv4)
			p.arp = p.arp.is(own, senderARP)
		} else {
			p.ipv6 = p.ipv6.is(own, sourceIPv6).not(nextHeader, unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING).where(nextHeader, unix.IPPROTO_DSTOPTS, options).
				orNot(nextHeader, unix.IPPROTO_ICMPV6).orNot(messageICMPv6, advertisement).is(own, neighbourTarget)
		}
	}
	return p.assemble(pass, drop)
}

// metadataProgram drops what is from here to the metadata service.
func (e *Endpoint) metadataProgram() string {
	var p program
	to4, to6 := metadataServices()
	for _, a := range e.Addresses {
		if own := a.Prefix.Addr(); own.Is4() {
			p.ipv4 = p.ipv4.is(to4, destinationIPv4).is(own, sourceIPv4)
		} else {
			p.ipv6 = p.ipv6.is(to6, destinationIPv6).is(own, sourceIPv6)
		}
	}
	return p.assemble(drop, undecided)
}

// metadataGate matches what is bound for the metadata service.
func metadataGate() string {
	to4, to6 := metadataServices()
	p := program{ipv4: checks(nil).is(to4, destinationIPv4), ipv6: checks(nil).is(to6, destinationIPv6)}
	return p.assemble(undecided, pass)
}

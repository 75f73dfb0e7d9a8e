// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A connection to a pod that the node has translated, for a NodePort or a host port, comes by the pod's host leg with the client's address, and the pod
// answers by its interface: its routes know no better. The client would see an answer from an address that it never asked. So what pods send by the
// node's interface is looked up among the node's connections there, and what answers in one of them is taken back into the node, as if it had come in
// by lo: translation is undone then, and the packet routed, as for any answer. Nothing of it is in the pod, or of one pod.
//
// It comes in by lo since that is always there, and has an address: without one the kernel's loose check of sources drops what comes in.
const (
	// answersPriority is behind that of the filters which drop.
	answersPriority = filterPriority + 1
	settledChain    = 118
	answersChain    = 119
	loopbackIndex   = 1
)

// Answers says for which pods on an interface of the node what they answer by the host leg is taken there.
type Answers struct {
	// Pods are all addresses that pods with host legs may have on the interface.
	Pods []netip.Prefix
	// Node lists the node's own addresses, which are never pods'.
	Node []netip.Addr
}

// SetAnswers makes answers on the node's interface with a MAC what they should be; without Pods there are none. It says whether it changed anything.
// An error that is a *MessageError with a Module says that the kernel cannot do it.
func (d *Datapath) SetAnswers(mac string, a Answers) (changed bool, err error) {
	master, err := d.search(mac)
	if err != nil {
		return false, err
	}
	return d.setAnswers(master, a)
}

func (d *Datapath) setAnswers(master link, a Answers) (changed bool, err error) {
	var h have
	if err := h.readFilters(d.node, master.index, outgoing); err != nil {
		return false, err
	}
	found := slices.DeleteFunc(h.filters, func(f filter) bool { return f.priority != answersPriority })
	if len(a.Pods) == 0 {
		if len(found) == 0 {
			return false, nil
		}
		return true, errors.Join(d.node.do(deleteAnswers(master.index)...), d.removeFilterPoint(master.index))
	}
	lookup, err := a.lookupFilter(master.index)
	if err != nil {
		return false, err
	}
	gate, tooLong := a.program()
	tracked := answerFilters(master.index, gate)
	if slices.Contains(found, lookup) || !slices.ContainsFunc(tracked, func(f filter) bool { return !slices.Contains(found, f) }) {
		return false, nil // what this kernel can do was found out before
	}
	without := d.setLookup(a, lookup)
	if without == nil {
		return true, nil
	}
	if tooLong != nil {
		return false, tooLong
	}
	messages := []*message{addFilterPoint(master.index)}
	for _, f := range tracked {
		messages = append(messages, setFilter(f))
	}
	if err := d.node.do(messages...); err != nil {
		// Half of it is of no use, and costs each packet time.
		return true, errors.Join(fmt.Errorf("interface %s: %w (nor is there another way: %w)", master.Name, err, without), d.node.do(deleteAnswers(master.index)...))
	}
	return true, nil
}

// setLookup makes the filter whose program looks up connections, in place of all others.
func (d *Datapath) setLookup(a Answers, f filter) error {
	program, err := a.loadLookup()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(program) }()
	messages := []*message{addFilterPoint(f.index), setLoadedFilter(f, program)}
	for _, old := range answerFilters(f.index, "") {
		if old.chain != 0 {
			messages = append(messages, deleteFilter(old))
		}
	}
	return d.node.do(messages...)
}

// takeAnswers does for the first pod on an interface since boot what the agent does always. Where it fails, pods lack answers to what comes by NodePorts
// and host ports from elsewhere, and nothing else; the agent says why.
func (a *application) takeAnswers() {
	if leg := a.endpoint.HostLeg; leg != nil && a.fresh {
		_, _ = LoosenLoopback("/proc/sys")
		_, _ = a.setAnswers(a.links.master, Answers{Pods: leg.Pods, Node: leg.Node})
	}
}

// LoosenLoopback keeps the kernel from dropping answers where it checks sources strictly: of an interface's setting and that of all the larger one counts,
// and 2, the loose check, is larger than 1. Settings is the folder of the node's, /proc/sys or where it is mounted.
func LoosenLoopback(settings string) (changed bool, err error) {
	links := filepath.Join(settings, "net/ipv4/conf")
	loopback := sysctl{path: filepath.Join(links, "lo/rp_filter"), value: "2"}
	found, err := readSettings([]sysctl{{path: filepath.Join(links, "all/rp_filter")}, loopback})
	if err != nil || len(found) < 2 || max(found[0].value, found[1].value) != "1" {
		return false, err
	}
	return true, set([]sysctl{loopback})
}

// ForgetAnswers removes from all of the node's interfaces what SetAnswers has made, except from those with some MACs.
func (d *Datapath) ForgetAnswers(except ...string) error {
	masters, err := d.links(func(l *link) bool {
		return l.carries(l.MAC.String()) && !l.loopback && !slices.Contains(except, l.MAC.String())
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, master := range masters {
		_, err := d.setAnswers(master, Answers{})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// answerFilters are those on an interface: what others lead to comes first. The program is run twice: a raw socket may share a frame's memory with its
// sender, who may change it between a look at it and the next. Of fragments that come to act_ct at a link's egress, Linux 6.1 dies.
func answerFilters(master int, gate string) []filter {
	return []filter{
		{index: master, parent: outgoing, chain: answersChain, priority: answersPriority, handle: 1, answers: true, redirect: loopbackIndex},
		{index: master, parent: outgoing, chain: settledChain, priority: answersPriority, handle: 1, program: gate, next: answersChain, action: actionTrack},
		{index: master, parent: outgoing, priority: answersPriority, handle: 1, program: gate, next: settledChain, action: actionSettle},
	}
}

func deleteAnswers(master int) []*message {
	var messages []*message
	for _, f := range slices.Backward(answerFilters(master, "")) {
		messages = append(messages, deleteFilter(f))
	}
	return messages
}

// Offsets in a frame, besides those of filters.
const (
	fragmentIPv4 = 14 + 6
	protocolIPv4 = 14 + 9
)

// program matches what may answer: TCP, UDP and SCTP from pods' addresses. Fragments must not match, see answerFilters; so what the kernel was told of the
// frame must be what it is. The node's own packets must not match, or answers that were taken back would be again.
func (a Answers) program() (string, error) {
	var ipv4, ipv6 []bpf.Instruction
	for _, n := range a.Node {
		if n.Is4() {
			ipv4 = append(ipv4, from(single(n), sourceIPv4, pass)...)
		} else {
			ipv6 = append(ipv6, from(single(n), sourceIPv6, pass)...)
		}
	}
	for _, p := range a.Pods {
		if p.Addr().Is4() {
			ipv4 = append(ipv4, from(p, sourceIPv4, undecided)...)
		} else {
			ipv6 = append(ipv6, from(p, sourceIPv6, undecided)...)
		}
	}
	const moreOrOffset = 0x3fff
	miss := bpf.RetConstant{Val: pass}
	whole := []bpf.Instruction{
		bpf.LoadAbsolute{Off: fragmentIPv4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: moreOrOffset, SkipTrue: 1},
		miss,
	}
	ipv4 = slices.Concat(whole, withPorts(protocolIPv4), ipv4, []bpf.Instruction{miss})
	ipv6 = slices.Concat(withPorts(nextHeader), ipv6, []bpf.Instruction{miss})
	const most = 4096
	list := slices.Concat([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: kindOfFrame, Size: 2},
		bpf.JumpIfX{Cond: bpf.JumpEqual, SkipTrue: 1},
		miss,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 1},
		miss,
		bpf.Jump{Skip: uint32(len(ipv4))},
	}, ipv4, ipv6)
	if len(list) > most {
		return "", fmt.Errorf("the pods' addresses are in too many pieces, %d, for a filter: use prefixes for pools", len(a.Pods))
	}
	return operations(list), nil
}

// withPorts misses what is of other protocols.
func withPorts(offset uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: offset, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_TCP, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_SCTP, SkipTrue: 1},
		bpf.RetConstant{Val: pass},
	}
}

// from ends with the result if the address at the offset is in the prefix.
func from(p netip.Prefix, offset uint32, result uint32) []bpf.Instruction {
	var list []bpf.Instruction
	address := p.Masked().Addr().AsSlice()
	words := (p.Bits() + 31) / 32
	for i := range words {
		mask := uint32(0xffffffff)
		if rest := 32*(i+1) - p.Bits(); rest > 0 {
			mask <<= rest
		}
		left := 3*(words-i-1) + 1 // instructions behind: of other words, and the result
		list = append(list,
			bpf.LoadAbsolute{Off: offset + uint32(4*i), Size: 4},
			bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(address[4*i:]), SkipTrue: uint8(left)},
		)
	}
	return append(list, bpf.RetConstant{Val: result})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	kindIfb    = "ifb"
	kindClsact = "clsact"
	kindTBF    = "tbf"
	kindBPF    = "bpf"
	kindFlower = "flower"
	actionGoto = "gact"
	// actionRedirect sends the packet to another link.
	actionRedirect = "mirred"
	// actionTrack looks up the packet's connection.
	actionTrack = "ct"
	// actionSettle sums up nothing; the kernel takes the packet's headers out of its sender's memory for it.
	actionSettle = "csum"
	root         = math.MaxUint32 // TC_H_ROOT
)

// newLimiter makes the link through which goes what the pod receives, in the namespace of the socket.
func newLimiter(i Identity) *message {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, func() string { return "add " + i.limiter() })
	m.module = "ifb"
	info := indexed(i.limiterIndex())
	info.Flags, info.Change = unix.IFF_UP, unix.IFF_UP
	m.AddData(info)
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(i.limiter())))
	m.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(i.group())))
	data := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	data.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kindIfb))
	m.AddData(data)
	return m
}

func trafficMessage(kind, flags int, header nl.TcMsg, what func() string, fine ...unix.Errno) *message {
	m := newMessage(kind, flags, what, fine...)
	m.AddData(&header)
	return m
}

func named(m *message, kind, module string) {
	m.module = module
	m.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(kind)))
}

// addFilterPoint makes a place for filters on a link, in both directions. Whose it is does not matter.
func addFilterPoint(index int) *message {
	m := trafficMessage(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, nl.TcMsg{Ifindex: int32(index), Handle: clsact &^ 0xffff, Parent: clsact},
		func() string { return "prepare traffic control" }, unix.EEXIST)
	named(m, kindClsact, "sch_ingress")
	return m
}

// deleteFilterPoint removes the place, with all filters there.
func deleteFilterPoint(index int) *message {
	return trafficMessage(unix.RTM_DELQDISC, 0, nl.TcMsg{Ifindex: int32(index), Handle: clsact &^ 0xffff, Parent: clsact},
		func() string { return "remove traffic control" }, unix.ENOENT, unix.EINVAL, unix.ENODEV)
}

// setShaper makes or changes the root queue of a link.
func setShaper(s shaper) *message {
	const handle, ethernet = 1 << 16, 1 // 1:, TC_LINKLAYER_ETHERNET
	m := trafficMessage(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, nl.TcMsg{Ifindex: int32(s.index), Handle: handle, Parent: root}, func() string { return "set " + s.String() })
	named(m, kindTBF, "sch_tbf")
	parameters := nl.TcTbfQopt{Limit: s.queue}
	parameters.Rate.Linklayer = ethernet
	parameters.Rate.Rate = uint32(min(s.rate, math.MaxUint32))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_TBF_PARMS, parameters.Serialize())
	options.AddRtAttr(nl.TCA_TBF_BURST, nl.Uint32Attr(s.burst))
	if s.rate > math.MaxUint32 {
		options.AddRtAttr(nl.TCA_TBF_RATE64, nl.Uint64Attr(s.rate))
	}
	m.AddData(options)
	return m
}

// deleteShaper gives a link its usual queue again.
func deleteShaper(index int) *message {
	return trafficMessage(unix.RTM_DELQDISC, 0, nl.TcMsg{Ifindex: int32(index), Parent: root}, func() string { return "remove a limit" }, unix.ENOENT, unix.EINVAL)
}

func listQueues() *message {
	return trafficMessage(unix.RTM_GETQDISC, 0, nl.TcMsg{}, func() string { return "list queues" })
}

// parseShaper reads a token bucket filter; false for other queues.
func parseShaper(data []byte) (shaper, bool, error) {
	if len(data) < nl.SizeofTcMsg {
		return shaper{}, false, fmt.Errorf("read a queue: %d bytes are too few", len(data))
	}
	attributes, options, err := parseTraffic(data)
	if err != nil || kindOf(attributes) != kindTBF || nl.DeserializeTcMsg(data).Parent != root {
		return shaper{}, false, err
	}
	parameters := options[nl.TCA_TBF_PARMS].Value
	if len(parameters) < nl.SizeofTcTbfQopt {
		return shaper{}, false, fmt.Errorf("read a queue: its parameters have %d bytes", len(parameters))
	}
	found := nl.DeserializeTcTbfQopt(parameters)
	s := shaper{index: int(nl.DeserializeTcMsg(data).Ifindex), rate: uint64(found.Rate.Rate), queue: found.Limit}
	if large := options[nl.TCA_TBF_RATE64].Value; len(large) == 8 {
		s.rate = binary.NativeEndian.Uint64(large)
	}
	return s, true, nil
}

func (f filter) header() nl.TcMsg {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)) // as in a frame
	return nl.TcMsg{Ifindex: int32(f.index), Handle: f.handle, Parent: f.parent, Info: uint32(f.priority)<<16 | uint32(protocol)}
}

// setFilter makes or changes a filter.
func setFilter(f filter) *message {
	m := trafficMessage(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, f.header(), func() string { return "add " + f.String() })
	if f.chain != 0 {
		m.AddData(nl.NewRtAttr(attributeChain, nl.Uint32Attr(f.chain)))
	}
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	if f.answers {
		named(m, kindFlower, "cls_flower")
		options.AddRtAttr(flowerState, nl.Uint16Attr(answering))
		options.AddRtAttr(flowerStateMask, nl.Uint16Attr(answering))
		addRedirection(options.AddRtAttr(nl.TCA_FLOWER_ACT, nil), toIngress, f.redirect)
	} else {
		addProgram(m, options, f)
	}
	m.AddData(options)
	return m
}

// addProgram adds a program and what becomes of what it matches.
func addProgram(m *message, options *nl.RtAttr, f filter) {
	const size = 8 // of an instruction
	named(m, kindBPF, "cls_bpf")
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(f.program)/size)))
	options.AddRtAttr(nl.TCA_BPF_OPS, []byte(f.program))
	switch {
	case f.action != "":
		m.module = "act_" + f.action
		var parameters []uint32
		if f.action == actionSettle {
			parameters = []uint32{0} // what to sum up
		}
		verdict := uint32(undecided)
		if f.next != 0 {
			verdict = gotoChain | f.next
		}
		addAction(options.AddRtAttr(nl.TCA_BPF_ACT, nil), f.action, otherParameters, verdict, parameters...)
	case f.next != 0:
		addAction(options.AddRtAttr(nl.TCA_BPF_ACT, nil), actionGoto, nl.TCA_GACT_PARMS, gotoChain|f.next)
	case f.redirect != 0:
		m.module = "act_mirred"
		addRedirection(options.AddRtAttr(nl.TCA_BPF_ACT, nil), toEgress, f.redirect)
	default:
		options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	}
}

const (
	attributeChain = 11      // TCA_CHAIN
	gotoChain      = 2 << 28 // TC_ACT_GOTO_CHAIN

	otherParameters = 1  // TCA_CT_PARMS, TCA_CSUM_PARMS
	flowerState     = 91 // TCA_FLOWER_KEY_CT_STATE
	flowerStateMask = 92 // TCA_FLOWER_KEY_CT_STATE_MASK
	// answering are TCA_FLOWER_KEY_CT_FLAGS_: ESTABLISHED, TRACKED and, since Linux 5.13, REPLY.
	answering = 1<<1 | 1<<3 | 1<<5
)

// keepFilter makes a filter if there is none in its place.
func keepFilter(f filter) *message {
	m := setFilter(f)
	m.Flags |= unix.NLM_F_EXCL
	m.fine = append(m.fine, unix.EEXIST)
	return m
}

// setLoadedFilter makes or changes a filter whose program has a descriptor.
func setLoadedFilter(f filter, program int) *message {
	m := trafficMessage(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, f.header(), func() string { return "add " + f.String() })
	named(m, kindBPF, "cls_bpf")
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_FD, nl.Uint32Attr(uint32(program)))
	options.AddRtAttr(nl.TCA_BPF_NAME, nl.ZeroTerminated(f.loaded))
	addRedirection(options.AddRtAttr(nl.TCA_BPF_ACT, nil), toIngress, f.redirect)
	m.AddData(options)
	return m
}

// Directions of a redirection: TCA_EGRESS_REDIR, TCA_INGRESS_REDIR.
const (
	toEgress  = 1
	toIngress = 3
)

func addRedirection(list *nl.RtAttr, direction uint32, link int) {
	const stolen = 4 // TC_ACT_STOLEN
	addAction(list, actionRedirect, nl.TCA_MIRRED_PARMS, stolen, direction, uint32(link))
}

// addAction adds an action with a verdict and parameters of its own. Before the verdict stand an index and capabilities, behind it two counters.
func addAction(list *nl.RtAttr, kind string, attribute int, verdict uint32, parameters ...uint32) {
	action := list.AddRtAttr(1, nil)
	action.AddRtAttr(nl.TCA_ACT_KIND, nl.ZeroTerminated(kind))
	var data []byte
	for _, n := range append([]uint32{0, 0, verdict, 0, 0}, parameters...) {
		data = binary.NativeEndian.AppendUint32(data, n)
	}
	action.AddRtAttr(unix.NLA_F_NESTED|nl.TCA_ACT_OPTIONS, nil).AddRtAttr(attribute, data) // newer actions insist on the flag
}

// deleteFilter is no error where the link, its filters or this one are gone. Without a handle it deletes all of the chain and priority.
func deleteFilter(f filter) *message {
	m := trafficMessage(unix.RTM_DELTFILTER, 0, f.header(), func() string { return "remove a filter" }, unix.ENOENT, unix.EINVAL, unix.ENODEV, unix.EOPNOTSUPP)
	if f.chain != 0 {
		m.AddData(nl.NewRtAttr(attributeChain, nl.Uint32Attr(f.chain)))
	}
	return m
}

func listFilters(index int, parent uint32) *message {
	return trafficMessage(unix.RTM_GETTFILTER, 0, nl.TcMsg{Ifindex: int32(index), Parent: parent}, func() string { return "list filters" }, unix.EINVAL, unix.ENOENT)
}

// parseFilter reads a filter of one of our kinds; false for others.
func parseFilter(data []byte) (filter, bool, error) {
	if len(data) < nl.SizeofTcMsg {
		return filter{}, false, fmt.Errorf("read a filter: %d bytes are too few", len(data))
	}
	attributes, options, err := parseTraffic(data)
	if err != nil {
		return filter{}, false, err
	}
	header := nl.DeserializeTcMsg(data)
	f := filter{index: int(header.Ifindex), parent: header.Parent, handle: header.Handle, priority: uint16(header.Info >> 16), chain: number(attributes[attributeChain].Value)}
	if header.Info != f.header().Info {
		return f, false, nil // of one protocol
	}
	switch kindOf(attributes) {
	case kindBPF:
		f.program = string(options[nl.TCA_BPF_OPS].Value)
		if name := untilZero(options[nl.TCA_BPF_NAME].Value); strings.HasPrefix(name, programPrefix) {
			f.loaded = name
		}
		if number(options[nl.TCA_BPF_FLAGS].Value)&nl.TCA_BPF_FLAG_ACT_DIRECT == 0 {
			err = f.parseActions(options[nl.TCA_BPF_ACT].Value)
		}
		return f, f.program != "" || f.loaded != "", err
	case kindFlower:
		f.answers = string(options[flowerStateMask].Value) == string(nl.Uint16Attr(answering))
		err = f.parseActions(options[nl.TCA_FLOWER_ACT].Value)
		return f, f.redirect != 0, err
	}
	return f, false, nil
}

// parseActions reads what becomes of what the filter matches.
func (f *filter) parseActions(list []byte) error {
	const verdict, target = 2, 6
	parameters := uint16(otherParameters)
	switch kind := firstAction(list); kind {
	case actionRedirect:
		link, err := parseAction(list, nl.TCA_MIRRED_PARMS, target)
		f.redirect = int(link)
		return err
	case actionGoto:
		parameters = nl.TCA_GACT_PARMS
	default:
		f.action = kind
	}
	next, err := parseAction(list, parameters, verdict)
	if next != undecided {
		f.next = next &^ gotoChain
	}
	return err
}

// parseAction reads the nth number of a list's first action, as addAction writes them; 0 if it has none.
func parseAction(data []byte, parameters uint16, nth int) (uint32, error) {
	for _, attribute := range []uint16{1, nl.TCA_ACT_OPTIONS, parameters} {
		attributes, err := nl.ParseRouteAttrAsMap(data)
		if err != nil {
			return 0, fmt.Errorf("read a filter: %w", err)
		}
		if data = attributes[attribute].Value; data == nil {
			data = attributes[attribute|unix.NLA_F_NESTED].Value // as we write it
		}
	}
	return number(data[min(4*nth, len(data)):]), nil
}

// firstAction is the kind of a list's first action.
func firstAction(data []byte) string {
	list, err := nl.ParseRouteAttrAsMap(data)
	if err != nil {
		return ""
	}
	first, err := nl.ParseRouteAttrAsMap(list[1].Value)
	if err != nil {
		return ""
	}
	return untilZero(first[nl.TCA_ACT_KIND].Value)
}

// parseTraffic reads what queues and filters have in common: attributes, and those inside the options.
func parseTraffic(data []byte) (attributes, options map[uint16]syscall.NetlinkRouteAttr, err error) {
	if attributes, err = nl.ParseRouteAttrAsMap(data[nl.SizeofTcMsg:]); err != nil {
		return nil, nil, fmt.Errorf("read traffic control: %w", err)
	}
	if kind := kindOf(attributes); !slices.Contains([]string{kindTBF, kindBPF, kindFlower}, kind) {
		return attributes, nil, nil // others' options need not be attributes
	}
	if options, err = nl.ParseRouteAttrAsMap(attributes[nl.TCA_OPTIONS].Value); err != nil {
		return nil, nil, fmt.Errorf("read the options of traffic control: %w", err)
	}
	return attributes, options, nil
}

func kindOf(attributes map[uint16]syscall.NetlinkRouteAttr) string {
	return untilZero(attributes[nl.TCA_KIND].Value)
}

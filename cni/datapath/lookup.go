// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// The better way to look up connections is a program of eBPF, which calls the kernel's own function for it: a lookup and nothing else, so that a full table
// harms nobody, and one filter instead of three. Kernels of Amazon Linux, and Bottlerocket's, have this and no act_ct.

// kernelFunction is one that programs may call.
type kernelFunction struct {
	id uint32
	// types says whose: 0 of the kernel itself, 1 of the module that the program is loaded with.
	types int16
}

// The functions that look up a connection, and give back the hold on it. (Linux 5.18; since 6.0 the former says of which direction the packet is.)
const (
	findConnection    = "bpf_skb_ct_lookup"
	releaseConnection = "bpf_ct_release"
	trackingModule    = "nf_conntrack"
)

// programPrefix starts the names of our programs. The rest is a fingerprint, by which to know what is in force.
const programPrefix = "underlay-"

// lookupFilter is the filter of an interface; its program is loaded by loadLookup.
func (a Answers) lookupFilter(master int) (filter, error) {
	program, err := a.lookup(kernelFunction{}, kernelFunction{})
	if err != nil {
		return filter{}, fmt.Errorf("the pods' addresses are in too many pieces, %d, for a filter: use prefixes for pools: %w", len(a.Pods), err)
	}
	sum := sha256.Sum256(program)
	name := programPrefix + hex.EncodeToString(sum[:8])
	return filter{index: master, parent: outgoing, priority: answersPriority, handle: 1, loaded: name, redirect: loopbackIndex}, nil
}

// loadLookup loads the filter's program, and returns its descriptor, which the caller closes.
func (a Answers) loadLookup() (int, error) {
	find, release, module, err := connectionFunctions()
	if err != nil {
		return 0, fmt.Errorf("look for the kernel's lookup of connections: %w", err)
	}
	if module != 0 {
		defer func() { _ = unix.Close(module) }()
	}
	program, err := a.lookup(find, release)
	if err != nil {
		return 0, err
	}
	fd, err := loadProgram(program, module)
	if err != nil {
		return 0, fmt.Errorf("load the program that looks up connections: %w", err)
	}
	return fd, nil
}

// connectionFunctions finds the functions in the kernel or in the module, whose types' descriptor is 0 if they are in the kernel.
func connectionFunctions() (find, release kernelFunction, module int, err error) {
	if !saysDirection() {
		return find, release, 0, errors.New("it does not do before Linux 6.0")
	}
	base, err := readTypes("vmlinux", nil)
	if err != nil {
		return find, release, 0, err
	}
	found, err := base.functions(findConnection, releaseConnection)
	if err != nil {
		return find, release, 0, err
	}
	types := int16(0)
	if len(found) == 0 {
		own, err := trackingTypes(base)
		if err != nil {
			return find, release, 0, err
		}
		if found, err = own.functions(findConnection, releaseConnection); err != nil {
			return find, release, 0, err
		}
		if module, err = moduleTypes(trackingModule); err != nil {
			return find, release, 0, err
		}
		types = 1
	}
	if len(found) != 2 {
		return find, release, module, errors.New("this kernel has none")
	}
	return kernelFunction{found[findConnection], types}, kernelFunction{found[releaseConnection], types}, module, nil
}

// saysDirection says whether the lookup tells of which direction a packet is: by the release, since nothing else shows it.
func saysDirection() bool {
	const first = 6
	var name unix.Utsname
	var major int
	_ = unix.Uname(&name)
	_, _ = fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.", &major)
	return major >= first
}

// trackingTypes reads the types of the module that tracks connections, which may have to be loaded.
func trackingTypes(base *types) (*types, error) {
	own, err := readTypes(trackingModule, base)
	if errors.Is(err, fs.ErrNotExist) {
		loadTracking()
		own, err = readTypes(trackingModule, base)
	}
	return own, err
}

// loadTracking asks about connections, for which the kernel loads its modules. What it answers does not matter.
func loadTracking() {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	const length, statistics = 20, 1<<8 | 5 // IPCTNL_MSG_CT_GET_STATS of NFNL_SUBSYS_CTNETLINK
	question := binary.NativeEndian.AppendUint32(nil, length)
	question = binary.NativeEndian.AppendUint16(question, statistics)
	question = binary.NativeEndian.AppendUint16(question, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	question = append(question, make([]byte, length-len(question))...)
	_ = unix.Sendto(fd, question, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// lookup is a program which matches what answers in a connection of the node: TCP and UDP from pods' addresses. It first has the kernel take the headers
// out of what may be the sender's memory, then looks once: what it saw is what is taken back. Fragments, and headers with options, do not match. The node's
// own packets must not match, or answers that were taken back would be again.
func (a Answers) lookup(find, release kernelFunction) ([]byte, error) {
	p := newAssembly()
	const protocol = 16 // in the filter's argument
	p.add(opMove, r6, r1, 0, 0)
	p.add(opLoadWord, r7, r6, protocol, 0)
	for _, f := range headers() {
		// The kernel refuses code that nothing leads to, so there is none of a family without pods.
		if slices.ContainsFunc(a.Pods, func(p netip.Prefix) bool { return p.Addr().Is4() == f.is4 }) {
			p.jump(opIfNotEqual, r7, network16(f.kind), f.name+" not")
			a.lookupFamily(p, f)
			p.label(f.name + " not")
		}
	}
	p.jump(opGoto, 0, 0, "miss")
	p.label("lookup")
	const (
		options, length  = -64, 12 // struct bpf_ct_opts
		currentNamespace = -1
		direction        = options + 9
		answering        = 1 // IP_CT_DIR_REPLY
	)
	p.add(opStoreWord, r10, 0, options, currentNamespace)
	p.add(opStoreWord, r10, 0, options+4, 0)
	p.add(opStoreWord, r10, 0, options+8, 0)
	p.add(opStoreByte, r10, r8, options+8, 0)
	p.add(opMove, r1, r6, 0, 0)
	p.stack(r4, options)
	p.set(r5, length)
	p.callKernel(find)
	p.jump(opIfEqual, r0, 0, "miss")
	p.add(opMove, r1, r0, 0, 0)
	p.callKernel(release)
	p.add(opLoadByte, r1, r10, direction, 0)
	p.jump(opIfNotEqual, r1, answering, "miss")
	p.set(r0, -1)
	p.add(opExit, 0, 0, 0, 0)
	p.label("miss")
	p.set(r0, 0)
	p.add(opExit, 0, 0, 0, 0)
	return p.bytes()
}

// headers are what the program knows of both families.
func headers() []header {
	return []header{
		{name: "IPv4", is4: true, kind: unix.ETH_P_IP, start: -40, length: 20, protocol: 9, source: 12, tuple: 12},
		{name: "IPv6", kind: unix.ETH_P_IPV6, start: -48, length: 40, protocol: 6, source: 8, tuple: 36},
	}
}

// header of IP. Start is its place in the program's stack: its addresses and, right behind them, the ports are what the lookup takes, a tuple of so many
// bytes. In front of it is the kind of frame.
type header struct {
	name             string
	is4              bool
	kind             uint16
	start            int16
	length           int32
	protocol, source int16
	tuple            int32
}

// lookupFamily reads a frame's headers and, if it may be an answer, goes to the lookup with the protocol in r8, and what to look for in r2 and r3.
func (a Answers) lookupFamily(p *assembly, h header) {
	const kindLength, ports, shortest = 2, 4, 8 // a UDP header is the shortest that must be there
	p.add(opMove, r1, r6, 0, 0)
	p.set(r2, kindOfFrame+kindLength+h.length+shortest)
	p.call(callPullData)
	p.jump(opIfNotEqual, r0, 0, "miss")
	p.add(opMove, r1, r6, 0, 0)
	p.set(r2, kindOfFrame)
	p.stack(r3, int32(h.start)-kindLength)
	p.set(r4, kindLength+h.length+ports)
	p.call(callLoadBytes)
	p.jump(opIfNotEqual, r0, 0, "miss")
	p.add(opLoadHalf, r1, r10, h.start-kindLength, 0)
	p.jump(opIfNotEqual, r1, network16(h.kind), "miss") // what the kernel was told of the frame is not what it is
	if h.is4 {
		const withoutOptions, fragment, moreOrOffset = 0x45, 6, 0x3fff
		p.add(opLoadByte, r1, r10, h.start, 0)
		p.jump(opIfNotEqual, r1, withoutOptions, "miss")
		p.add(opLoadHalf, r1, r10, h.start+fragment, 0)
		p.jump(opIfAny, r1, network16(moreOrOffset), "miss")
	}
	p.add(opLoadByte, r8, r10, h.start+h.protocol, 0)
	p.jump(opIfEqual, r8, unix.IPPROTO_TCP, h.name+" source")
	p.jump(opIfNotEqual, r8, unix.IPPROTO_UDP, "miss")
	p.label(h.name + " source")
	for i, n := range a.Node {
		if n.Is4() == h.is4 {
			p.ifIn(single(n), h.start+h.source, "miss", fmt.Sprint(h.name, " node ", i))
		}
	}
	for i, pod := range a.Pods {
		if pod.Addr().Is4() == h.is4 {
			p.ifIn(pod, h.start+h.source, h.name+" found", fmt.Sprint(h.name, " pod ", i))
		}
	}
	p.jump(opGoto, 0, 0, "miss")
	p.label(h.name + " found")
	p.stack(r2, int32(h.start+h.source))
	p.set(r3, h.tuple)
	p.jump(opGoto, 0, 0, "lookup")
}

// ifIn goes to a label if the address at an offset in the stack is in the prefix; next is a label of its own.
func (a *assembly) ifIn(p netip.Prefix, offset int16, label, next string) {
	address := p.Masked().Addr().AsSlice()
	for i := 0; 8*i < p.Bits(); i += 4 {
		a.add(opLoadWord, r1, r10, offset+int16(i), 0)
		if rest := p.Bits() - 8*i; rest < 32 {
			mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-rest))
			a.add(opAndWord, r1, 0, 0, int32(binary.NativeEndian.Uint32(mask)))
		}
		a.jump(opIfNotWord, r1, int32(binary.NativeEndian.Uint32(address[i:])), next)
	}
	a.jump(opGoto, 0, 0, label)
	a.label(next)
}

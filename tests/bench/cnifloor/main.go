// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command cnifloor makes and removes a pod's interface and host leg by the fewest system calls that do it: a floor for how long the CNI may take. It
// reads no configuration, no node file and no store, checks nothing and undoes nothing; all that the CNI finds out it is told by arguments. What it
// leaves in the kernel is what the CNI leaves, which cniprobe checks before it measures.
//
//	cnifloor ADD '<JSON of a leg>'
//	cnifloor DEL '<JSON of a leg>'
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// leg is one pod's IPv4 interface and its host leg.
type leg struct {
	Netns   string
	Master  int // index
	MTU     int
	Group   int
	Index   int // of the interface
	Table   int // of the routes by the host leg
	Name    string
	HostMAC string
	PodMAC  string
	Pod     netip.Prefix
	Gateway netip.Addr
	Node    netip.Addr
	Service netip.Prefix
}

func main() {
	runtime.LockOSThread() // the namespace is the thread's
	var l leg
	err := json.Unmarshal([]byte(os.Args[2]), &l)
	if err == nil && os.Args[1] == "DEL" {
		err = l.remove()
	} else if err == nil {
		err = l.add()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cnifloor:", err)
		os.Exit(1)
	}
}

// add does the node's side first: then it never has to come back from the pod's namespace.
func (l leg) add() error {
	namespace, err := unix.Open(l.Netns, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	s, err := connect()
	if err != nil {
		return err
	}
	end, err := s.send(l.ipvlan(namespace), l.veth(namespace), get(l.Name))
	if err != nil {
		return err
	}
	if _, err := s.send(noAddresses(end)); err != nil {
		return err
	}
	if err := set("ipv6/conf/"+l.Name+"/accept_ra", "0"); err != nil {
		return err
	}
	own := netip.PrefixFrom(l.Pod.Addr(), 32)
	if _, err := s.send(l.up(end), neighbour(end, l.Pod.Addr(), l.PodMAC), route(end, unix.RT_TABLE_MAIN, own, netip.Addr{}, l.Node)); err != nil {
		return err
	}
	if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
		return err
	}
	return l.addInPod()
}

func (l leg) addInPod() error {
	s, err := connect()
	if err != nil {
		return err
	}
	end, err := s.send(noAddresses(l.Index), get("host0"))
	if err != nil {
		return err
	}
	if _, err := s.send(noAddresses(end)); err != nil {
		return err
	}
	for _, name := range []string{"ipv4/conf/all/rp_filter", "ipv4/conf/host0/rp_filter", "ipv6/conf/eth0/accept_ra", "ipv6/conf/eth0/autoconf", "ipv6/conf/host0/accept_ra", "ipv6/conf/host0/autoconf"} {
		if err := set(name, "0"); err != nil {
			return err
		}
	}
	pod := l.Pod.Addr()
	_, err = s.send(l.clsact(), l.filter(), l.up(l.Index), l.up(end), l.address(), neighbour(end, l.Node, l.HostMAC),
		route(l.Index, unix.RT_TABLE_MAIN, netip.PrefixFrom(netip.IPv4Unspecified(), 0), l.Gateway, pod),
		route(end, l.Table, netip.PrefixFrom(l.Node, 32), netip.Addr{}, pod), route(end, l.Table, l.Service, l.Node, pod), l.rule(unix.RTM_NEWRULE))
	return err
}

func (l leg) remove() error {
	namespace, err := unix.Open(l.Netns, unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	if err := unix.Setns(namespace, unix.CLONE_NEWNET); err != nil {
		return err
	}
	s, err := connect()
	if err != nil {
		return err
	}
	links := request(unix.RTM_DELLINK, 0, nl.NewIfInfomsg(unix.AF_UNSPEC), number(unix.IFLA_GROUP, l.Group))
	_, err = s.send(l.rule(unix.RTM_DELRULE), links)
	return err
}

func request(kind, flags int, data ...nl.NetlinkRequestData) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	for _, d := range data {
		r.AddData(d)
	}
	return r
}

func link(index int) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	return m
}

func number(attribute, value int) *nl.RtAttr {
	return nl.NewRtAttr(attribute, nl.Uint32Attr(uint32(value)))
}

func text(attribute int, value string) *nl.RtAttr {
	return nl.NewRtAttr(attribute, nl.ZeroTerminated(value))
}

func mac(attribute int, value string) *nl.RtAttr {
	parsed, err := net.ParseMAC(value)
	if err != nil {
		panic(err) // cniprobe has it from the kernel
	}
	return nl.NewRtAttr(attribute, parsed)
}

func (l leg) ipvlan(namespace int) *nl.NetlinkRequest {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("ipvlan"))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_IPVLAN_MODE, nl.Uint16Attr(0))
	return request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, link(l.Index), text(unix.IFLA_IFNAME, "eth0"), number(unix.IFLA_LINK, l.Master),
		number(unix.IFLA_MTU, l.MTU), number(unix.IFLA_GROUP, l.Group), number(unix.IFLA_NET_NS_FD, namespace), info)
}

func (l leg) veth(namespace int) *nl.NetlinkRequest {
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, link(0).Serialize())
	for _, a := range []*nl.RtAttr{text(unix.IFLA_IFNAME, "host0"), mac(unix.IFLA_ADDRESS, l.PodMAC), number(unix.IFLA_MTU, l.MTU), number(unix.IFLA_GROUP, l.Group), number(unix.IFLA_NET_NS_FD, namespace)} {
		peer.AddChild(a)
	}
	return request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, link(0), text(unix.IFLA_IFNAME, l.Name), mac(unix.IFLA_ADDRESS, l.HostMAC), number(unix.IFLA_MTU, l.MTU), info)
}

func get(name string) *nl.NetlinkRequest {
	return request(unix.RTM_GETLINK, 0, link(0), text(unix.IFLA_IFNAME, name))
}

func noAddresses(index int) *nl.NetlinkRequest {
	family := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	family.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(1))
	return request(unix.RTM_SETLINK, 0, link(index), family)
}

func (l leg) up(index int) *nl.NetlinkRequest {
	m := link(index)
	m.Flags, m.Change = unix.IFF_UP, unix.IFF_UP
	return request(unix.RTM_NEWLINK, 0, m, number(unix.IFLA_MTU, l.MTU))
}

func (l leg) address() *nl.NetlinkRequest {
	m := nl.NewIfAddrmsg(unix.AF_INET)
	m.Prefixlen, m.Index = uint8(l.Pod.Bits()), uint32(l.Index)
	broadcast := l.Pod.Addr().As4()
	for i, b := range net.CIDRMask(l.Pod.Bits(), 32) {
		broadcast[i] |= ^b
	}
	own := l.Pod.Addr().AsSlice()
	return request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m, nl.NewRtAttr(unix.IFA_LOCAL, own), nl.NewRtAttr(unix.IFA_ADDRESS, own), nl.NewRtAttr(unix.IFA_BROADCAST, broadcast[:]))
}

// protocol is what the CNI marks routes and rules with.
const protocol = 117

func route(index, table int, to netip.Prefix, via, source netip.Addr) *nl.NetlinkRequest {
	m := nl.NewRtMsg()
	m.Family, m.Dst_len, m.Protocol, m.Table = unix.AF_INET, uint8(to.Bits()), protocol, unix.RT_TABLE_UNSPEC
	list := []nl.NetlinkRequestData{m, number(unix.RTA_TABLE, table), number(unix.RTA_OIF, index), nl.NewRtAttr(unix.RTA_PREFSRC, source.AsSlice())}
	if to.Bits() > 0 {
		list = append(list, nl.NewRtAttr(unix.RTA_DST, to.Addr().AsSlice()))
	}
	if via.IsValid() {
		list = append(list, nl.NewRtAttr(unix.RTA_GATEWAY, via.AsSlice()))
		m.Flags = unix.RTNH_F_ONLINK
	} else {
		m.Scope = unix.RT_SCOPE_LINK
	}
	return request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, list...)
}

func (l leg) rule(kind int) *nl.NetlinkRequest {
	m := &nl.RtMsg{}
	m.Family, m.Type = unix.AF_INET, unix.RTN_UNICAST
	flags := unix.NLM_F_CREATE | unix.NLM_F_EXCL
	if kind == unix.RTM_DELRULE {
		flags = 0
	}
	const priority = 100
	return request(kind, flags, m, number(nl.FRA_PRIORITY, priority), number(nl.FRA_TABLE, l.Table), nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(protocol)))
}

// permanent is a struct ndmsg of a permanent neighbour.
type permanent struct{ index int }

func (permanent) Len() int { return 12 }

func (p permanent) Serialize() []byte {
	return append(append([]byte{unix.AF_INET, 0, 0, 0}, nl.Uint32Attr(uint32(p.index))...), unix.NUD_PERMANENT, 0, 0, 0)
}

func neighbour(index int, to netip.Addr, at string) *nl.NetlinkRequest {
	return request(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, permanent{index}, nl.NewRtAttr(unix.NDA_DST, to.AsSlice()), mac(unix.NDA_LLADDR, at))
}

func (l leg) clsact() *nl.NetlinkRequest {
	const clsact = 0xfffffff1
	return request(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, &nl.TcMsg{Ifindex: int32(l.Index), Handle: clsact &^ 0xffff, Parent: clsact}, text(nl.TCA_KIND, "clsact"))
}

// filter lets out what is from the pod's own address.
func (l leg) filter() *nl.NetlinkRequest {
	const outgoing, priority, everything, pass, drop = 0xfffffff3, 117, 0x0300, 0, 2
	own := l.Pod.Addr().As4()
	value := uint32(own[0])<<24 | uint32(own[1])<<16 | uint32(own[2])<<8 | uint32(own[3])
	source := func(offset uint32) []bpf.Instruction {
		return []bpf.Instruction{bpf.LoadAbsolute{Off: offset, Size: 4}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: value, SkipTrue: 1}, bpf.RetConstant{Val: pass}, bpf.RetConstant{Val: drop}}
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IPV6, SkipTrue: 9},
		bpf.RetConstant{Val: drop},
	}
	program = append(append(append(program, source(14+12)...), source(14+14)...), bpf.RetConstant{Val: drop})
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // it is a constant
	}
	var data []byte
	for _, r := range raw {
		data = append(append(append(data, nl.Uint16Attr(r.Op)...), r.Jt, r.Jf), nl.Uint32Attr(r.K)...)
	}
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(raw))))
	options.AddRtAttr(nl.TCA_BPF_OPS, data)
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	return request(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, &nl.TcMsg{Ifindex: int32(l.Index), Handle: 1, Parent: outgoing, Info: priority<<16 | everything},
		text(nl.TCA_KIND, "bpf"), options)
}

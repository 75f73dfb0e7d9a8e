// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"fmt"
	"net"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	kindIPVlan  = "ipvlan"
	kindMacvlan = "macvlan"
	kindMacvtap = "macvtap"
	kindVeth    = "veth"

	// modeL2 of ipvlan: the kernel's IPVLAN_MODE_L2.
	modeL2 = 0
	// addressGenerationNone is the kernel's IN6_ADDR_GEN_MODE_NONE.
	addressGenerationNone = 1
)

// newIPVlan makes the interface in the pod's namespace. It leaves the master's flags (private, VEPA) as they are: they are the master's, not the link's.
//
// The index is chosen here, not by the kernel: a kernel that is asked for a name alone looks for it among the node's links first, and refuses when the
// node has an eth0 of its own.
func newIPVlan(i Identity, master link, mtu int, namespace *Namespace) *message {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, func() string { return fmt.Sprintf("add ipvlan %s on %s", i.Name, master.Name) })
	m.AddData(indexed(i.index()))
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(i.Name)))
	m.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(master.index))))
	m.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	m.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(i.group())))
	m.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(namespace.fd))))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kindIPVlan))
	info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.IFLA_IPVLAN_MODE, nl.Uint16Attr(modeL2))
	m.AddData(info)
	return m
}

// newPair makes the host leg: its end on the node here, its peer in the pod's namespace.
func newPair(i Identity, mtu int, namespace *Namespace) *message {
	nodeMAC, podMAC := i.macs()
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, func() string { return "add host leg " + i.hostLeg() })
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(i.hostLeg())))
	m.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, nodeMAC))
	m.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kindVeth))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nl.NewIfInfomsg(unix.AF_UNSPEC).Serialize())
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(hostLegLink))
	peer.AddRtAttr(unix.IFLA_ADDRESS, podMAC)
	peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu)))
	peer.AddRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(i.group()))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(namespace.fd)))
	m.AddData(info)
	return m
}

// noGeneratedAddresses keeps the kernel from giving the link addresses of its own. A kernel without IPv6 does not know the attribute.
func noGeneratedAddresses(l link) *message {
	m := newMessage(unix.RTM_SETLINK, 0, func() string { return "switch off address generation of " + l.Name }, unix.EAFNOSUPPORT, unix.EOPNOTSUPP)
	m.AddData(indexed(l.index))
	family := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	family.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(unix.IFLA_INET6_ADDR_GEN_MODE, nl.Uint8Attr(addressGenerationNone))
	m.AddData(family)
	return m
}

// linkUp brings the link up, with this MTU if it is not 0.
func linkUp(l link, mtu int) *message {
	m := newMessage(unix.RTM_NEWLINK, 0, func() string { return "bring up " + l.Name })
	info := indexed(l.index)
	info.Flags = unix.IFF_UP
	info.Change = unix.IFF_UP
	m.AddData(info)
	if mtu != 0 {
		m.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
	}
	return m
}

func indexed(index int) *nl.IfInfomsg {
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(index)
	return info
}

// getLink asks for a link by name; its absence is no error.
func getLink(name string) *message {
	m := newMessage(unix.RTM_GETLINK, 0, func() string { return "read link " + name }, unix.ENODEV)
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	m.AddData(withoutStatistics())
	return m
}

func getLinkByIndex(index int) *message {
	m := newMessage(unix.RTM_GETLINK, 0, func() string { return fmt.Sprintf("read link %d", index) }, unix.ENODEV)
	m.AddData(indexed(index))
	m.AddData(withoutStatistics())
	return m
}

func listLinks() *message {
	m := newMessage(unix.RTM_GETLINK, 0, func() string { return "list links" })
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.AddData(withoutStatistics())
	return m
}

// withoutStatistics makes descriptions of links a third as long. (RTEXT_FILTER_SKIP_STATS)
func withoutStatistics() *nl.RtAttr {
	const skipStatistics = 1 << 3
	return nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics))
}

func deleteLink(name string) *message {
	m := newMessage(unix.RTM_DELLINK, 0, func() string { return "delete link " + name }, unix.ENODEV)
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return m
}

// deleteGroup deletes all links of an interface's group, waiting for RCU once.
func deleteGroup(i Identity) *message {
	m := newMessage(unix.RTM_DELLINK, 0, func() string { return "delete the links of " + i.Name }, unix.ENODEV)
	m.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	m.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(i.group())))
	return m
}

// link is what the kernel says of a link.
type link struct {
	Name  string
	MAC   net.HardwareAddr
	MTU   int
	index int
	// maxMTU that the driver allows; 0 if it does not say.
	maxMTU int
	up     bool
	// loopback is a link of no kind that is not physical.
	loopback bool
	kind     string // empty for physical links
	group    uint32
	// parent is the index of the link that this one is on (or of its peer), in another namespace if elsewhere is set.
	parent    int
	elsewhere bool
	// bridge is the index of the bridge or bond that this link is a port of.
	bridge int
	// remembered says of a node's interface that a pod was on it since boot.
	remembered bool
	// mode and flags of ipvlan.
	mode, flags uint16
}

func parseLink(data []byte) (link, error) {
	if len(data) < unix.SizeofIfInfomsg {
		return link{}, fmt.Errorf("read a link: %d bytes are too few", len(data))
	}
	info := nl.DeserializeIfInfomsg(data)
	l := link{index: int(info.Index), up: info.Flags&unix.IFF_UP != 0, loopback: info.Flags&unix.IFF_LOOPBACK != 0}
	attributes, err := nl.ParseRouteAttr(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, fmt.Errorf("read a link: %w", err)
	}
	for _, a := range attributes {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case unix.IFLA_IFNAME:
			l.Name = untilZero(a.Value)
		case unix.IFLA_ADDRESS:
			l.MAC = a.Value
		case unix.IFLA_MTU:
			l.MTU = int(number(a.Value))
		case unix.IFLA_MAX_MTU:
			l.maxMTU = int(number(a.Value))
		case unix.IFLA_GROUP:
			l.group = number(a.Value)
		case unix.IFLA_LINK:
			l.parent = int(number(a.Value))
		case unix.IFLA_LINK_NETNSID:
			l.elsewhere = true
		case unix.IFLA_MASTER:
			l.bridge = int(number(a.Value))
		case unix.IFLA_LINKINFO:
			l.parseInfo(a.Value)
		}
	}
	return l, nil
}

func (l *link) parseInfo(data []byte) {
	info, err := nl.ParseRouteAttrAsMap(data)
	if err != nil {
		return
	}
	l.kind = untilZero(info[nl.IFLA_INFO_KIND].Value)
	if l.kind != kindIPVlan {
		return
	}
	values, err := nl.ParseRouteAttrAsMap(info[nl.IFLA_INFO_DATA].Value)
	if err != nil {
		return
	}
	l.mode, l.flags = uint16(number(values[nl.IFLA_IPVLAN_MODE].Value)), uint16(number(values[nl.IFLA_IPVLAN_FLAG].Value))
}

// number reads an unsigned number of the machine's byte order, of two or four bytes; 0 if there is none.
func number(data []byte) uint32 {
	switch {
	case len(data) >= 4:
		return nl.NativeEndian().Uint32(data)
	case len(data) >= 2:
		return uint32(nl.NativeEndian().Uint16(data))
	}
	return 0
}

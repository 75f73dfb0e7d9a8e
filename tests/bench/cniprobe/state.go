// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// states describes all that the kernel has in a pod's namespace and in the node's, but for what differs each time: indexes that the kernel chooses,
// counters, ages, and whether it has noticed yet that a link runs.
func states(p pod) (inPod, onNode string, err error) {
	err = p.Do(func() (err error) { inPod, err = state(filtersOf); return err })
	if err == nil {
		// The node's filters are for all pods, and their actions say how old they are.
		onNode, err = state(func(*netlink.LinkAttrs) ([]string, error) { return nil, nil })
	}
	return inPod, onNode, err
}

// state of the thread's namespace.
func state(filtersOf func(*netlink.LinkAttrs) ([]string, error)) (string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return "", err
	}
	var lines []string
	names := map[int]string{}
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		lines = append(lines, fmt.Sprintf("link %s: %s, MAC %s, MTU %d, group %x, up %v, mode %s", a.Name, l.Type(), a.HardwareAddr, a.MTU, a.Group, a.Flags&net.FlagUp != 0, mode(l)))
		settings, err := settingsOf(a.Name)
		if err != nil {
			return "", err
		}
		lines = append(lines, settings...)
		filters, err := filtersOf(a)
		if err != nil {
			return "", err
		}
		queues, err := queuesOf(a)
		if err != nil {
			return "", err
		}
		lines = slices.Concat(lines, filters, queues)
	}
	for _, read := range []func(map[int]string) ([]string, error){addresses, routes, rules, neighbours} {
		more, err := read(names)
		if err != nil {
			return "", err
		}
		lines = append(lines, more...)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

func mode(l netlink.Link) string {
	if child, ok := l.(*netlink.IPVlan); ok {
		return fmt.Sprintf("%d, flag %d", child.Mode, child.Flag)
	}
	return "–"
}

// settingsOf a link, and those for all.
func settingsOf(link string) ([]string, error) {
	var lines []string
	for _, name := range []string{"ipv4/conf/all/rp_filter", "ipv4/conf/LINK/rp_filter", "ipv6/conf/LINK/accept_ra", "ipv6/conf/LINK/autoconf", "ipv6/conf/LINK/addr_gen_mode", "ipv6/conf/LINK/disable_ipv6"} {
		name = strings.ReplaceAll(name, "LINK", link)
		value, err := os.ReadFile(filepath.Join("/proc/sys/net", name))
		if err != nil {
			return nil, err
		}
		lines = append(lines, "setting "+name+" "+strings.TrimSpace(string(value)))
	}
	return lines, nil
}

// filtersOf a link, each as the kernel prints it, behind the link's index.
func filtersOf(l *netlink.LinkAttrs) ([]string, error) {
	var lines []string
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		request := nl.NewNetlinkRequest(unix.RTM_GETTFILTER, unix.NLM_F_DUMP)
		request.AddData(&nl.TcMsg{Ifindex: int32(l.Index), Parent: parent})
		list, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER)
		if err != nil {
			continue // there is no place for filters
		}
		const behindIndex = 8
		for _, f := range list {
			lines = append(lines, fmt.Sprintf("filter of %s: %x", l.Name, f[behindIndex:]))
		}
	}
	return lines, nil
}

func queuesOf(l *netlink.LinkAttrs) ([]string, error) {
	queues, err := netlink.QdiscList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: l.Index}})
	var lines []string
	for _, q := range queues {
		lines = append(lines, fmt.Sprintf("queue of %s: %s at %x", l.Name, q.Type(), q.Attrs().Parent))
	}
	return lines, err
}

func addresses(names map[int]string) ([]string, error) {
	list, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	var lines []string
	for _, a := range list {
		lines = append(lines, fmt.Sprintf("address %s on %s, scope %d, flags %x, broadcast %s, lasts %d", a.IPNet, names[a.LinkIndex], a.Scope, a.Flags, a.Broadcast, a.ValidLft))
	}
	return lines, err
}

func routes(names map[int]string) ([]string, error) {
	var lines []string
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		list, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			lines = append(lines, fmt.Sprintf("route %v via %v on %s, from %v, table %d, scope %d, type %d, protocol %d, on the link %v, metric %d", r.Dst, r.Gw, names[r.LinkIndex], r.Src,
				r.Table, r.Scope, r.Type, r.Protocol, r.Flags&int(netlink.FLAG_ONLINK) != 0, r.Priority))
		}
	}
	return lines, nil
}

func rules(map[int]string) ([]string, error) {
	list, err := netlink.RuleList(netlink.FAMILY_ALL)
	var lines []string
	for _, r := range list {
		lines = append(lines, fmt.Sprintf("rule %d of family %d from %v to table %d, protocol %d", r.Priority, r.Family, r.Src, r.Table, r.Protocol))
	}
	return lines, err
}

func neighbours(names map[int]string) ([]string, error) {
	list, err := netlink.NeighList(0, 0)
	var lines []string
	for _, n := range list {
		if n.State&netlink.NUD_PERMANENT != 0 {
			lines = append(lines, fmt.Sprintf("neighbour %s at %s on %s", n.IP, n.HardwareAddr, names[n.LinkIndex]))
		}
	}
	return lines, err
}

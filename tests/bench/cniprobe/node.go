// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

const (
	uplink    = "eth0"
	uplinkMAC = "02:00:00:00:00:01"
	// peerState is where host-local keeps what it hands out. /run is a tmpfs here as on nodes, where ours keeps its own.
	peerState = "/run/cni-peer"
)

// bench is a node.
type bench struct {
	programs string
	pods     int
}

// newBench makes the machine a node: with an interface, the node file, and the programs in memory.
func newBench(programs string) (*bench, error) {
	b := &bench{programs: "/run/programs"}
	if err := copyAll(programs, b.programs); err != nil {
		return nil, err
	}
	if err := netns.Here().Set("net.ipv4.ip_forward", "1"); err != nil {
		return nil, err
	}
	if err := makeUplink(); err != nil {
		return nil, fmt.Errorf("make %s: %w", uplink, err)
	}
	if err := os.MkdirAll(filepath.Dir(cni.NodeFile), 0o755); err != nil {
		return nil, err
	}
	return b, nodefile.Write(cni.NodeFile, node())
}

// copyAll copies programs out of a folder that is shared with the host, and slow.
func copyAll(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := copyOne(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyOne(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}

// makeUplink makes a veth pair, one end of which stands for the node's interface.
func makeUplink() error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = uplink
	attributes.HardwareAddr = []byte{2, 0, 0, 0, 0, 1}
	veth := &netlink.Veth{LinkAttrs: attributes, PeerName: "vpc"}
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	for _, name := range []string{"vpc", uplink} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		// Else what the kernel has of the link's own address changes some seconds later, while floor compares states of the node.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if name != uplink {
			continue
		}
		address, err := netlink.ParseAddr("10.0.0.10/16")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return err
		}
	}
	return nil
}

// The networks of the node. Each has a /24 of its own, of the interface's subnet, and the dual one IPv6 besides.
const (
	networkIPv4 = "ipv4"
	networkDual = "dual"
	networkLeg  = "leg"
	serviceCIDR = "10.96.0.0/12"
)

func node() *nodefile.File {
	file := &nodefile.File{Writer: "bench", Node: nodefile.Node{Name: "node", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.10")}}}
	pool := func(network string, family nodefile.Family, subnet, gateway, ranges string) {
		r, err := nodefile.ParseRanges([]string{ranges})
		if err != nil {
			panic(err) // it is a constant
		}
		file.Pools = append(file.Pools, nodefile.Pool{
			Name: network + "." + strings.ToLower(string(family)), Network: network, Family: family, Ranges: r, Allocation: nodefile.AllocationEnabled,
			Subnet: netip.MustParsePrefix(subnet), Gateway: netip.MustParseAddr(gateway),
			Interface: nodefile.Interface{ID: "eni-0a", MAC: uplinkMAC},
		})
	}
	for i, name := range []string{networkIPv4, networkDual, networkLeg} {
		file.Networks = append(file.Networks, nodefile.Network{
			Name: name, RequestedIPs: nodefile.RequestedIPsDeny, MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataAllow},
			HostLeg: nodefile.HostLeg{Enabled: name == networkLeg, CIDRs: []netip.Prefix{netip.MustParsePrefix(serviceCIDR)}},
		})
		pool(name, nodefile.IPv4, "10.0.0.0/16", "10.0.0.1", fmt.Sprintf("10.0.%d.0/24", 1+i))
	}
	pool(networkDual, nodefile.IPv6, "fd00::/64", "fe80:ec2::1", "fd00:0:0:0:1::/80")
	return file
}

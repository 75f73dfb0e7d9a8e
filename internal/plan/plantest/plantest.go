// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package plantest builds valid inventories of any size and shape, for tests and benchmarks. It imports the API alone.
//
// Invariant: what a node looks like depends on its position and shape alone, so that a longer list has the same nodes
// as a shorter one, and more.
package plantest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Interface is the shape of an interface: how many addresses of each kind it carries.
type Interface struct {
	// Prefixes4 is at most 11, Secondaries4 at most 48.
	Prefixes4, Secondaries4 int
	// Prefixes6 is at most 16, Secondaries6 at most 255.
	Prefixes6, Secondaries6 int
	// Gaps leaves out every third secondary address.
	Gaps bool
	// Tags of the interface.
	Tags map[string]string
}

// Node is the shape of a node: its interfaces, at most MaxInterfaces, by device index.
type Node []Interface

// MaxInterfaces of a node.
const MaxInterfaces = 8

// nodesPerSubnet share the subnets: each has a /24 of the /16.
const nodesPerSubnet = 256

// Uniform is n nodes of one shape.
func Uniform(n int, shape Node) []Node {
	out := make([]Node, n)
	for i := range out {
		out[i] = shape
	}
	return out
}

// DualStack is a node of two interfaces with one prefix of each family: four pools.
func DualStack() Node {
	return Node{{Prefixes4: 1, Prefixes6: 1}, {Prefixes4: 1, Prefixes6: 1}}
}

// Inventory has the nodes, at most 8,192, and their subnets.
func Inventory(nodes []Node) v1alpha1.Inventory {
	vpc := v1alpha1.VPC{ID: "vpc-0001"}
	inv := v1alpha1.Inventory{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.InventoryKind},
		Provider: v1alpha1.ProviderAWS,
		InstanceTypes: []v1alpha1.InstanceType{
			{Name: "m6i.32xlarge", Hypervisor: "nitro", MaximumInterfaces: 15, IPv4PerInterface: 50, IPv6PerInterface: 50}},
	}
	for block := 0; block*nodesPerSubnet < len(nodes); block++ {
		for device := range MaxInterfaces {
			s := v1alpha1.Subnet{ID: subnetID(block, device), VPCID: vpc.ID, Zone: zone(block),
				CIDR: netip.PrefixFrom(address4(block, device, 0), 16), IPv6CIDR: netip.PrefixFrom(address6(block, device, 0, 0), 64)}
			inv.Subnets = append(inv.Subnets, s)
			vpc.CIDRs = append(vpc.CIDRs, s.CIDR)
			vpc.IPv6CIDRs = append(vpc.IPv6CIDRs, s.IPv6CIDR)
		}
	}
	inv.VPCs = []v1alpha1.VPC{vpc}
	for i, shape := range nodes {
		inv.Nodes = append(inv.Nodes, newNode(i, shape))
	}
	return inv
}

func newNode(i int, shape Node) v1alpha1.Node {
	block := i / nodesPerSubnet
	name, instance := fmt.Sprintf("node-%04d", i), fmt.Sprintf("i-%04d", i)
	n := v1alpha1.Node{
		Name: name,
		UID:  types.UID("uid-" + name),
		Labels: map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux",
			"topology.kubernetes.io/zone": zone(block), "parity": [...]string{"even", "odd"}[i%2]},
		ProviderID:   "aws:///" + zone(block) + "/" + instance,
		InstanceID:   instance,
		InstanceType: "m6i.32xlarge",
		Kernel:       "6.1.0-18-cloud-amd64",
	}
	for device, in := range shape {
		n.Interfaces = append(n.Interfaces, newInterface(i, device, in))
	}
	if len(n.Interfaces) > 0 {
		n.InternalIPs = []netip.Addr{n.Interfaces[0].PrimaryIPv4}
	}
	return n
}

// newInterface puts into the node's /24 of the subnet: the primary address at 10, secondary ones from 16, prefixes from
// 64. Of IPv6, the first node of a subnet has its very first /80, with AWS's own addresses in it.
func newInterface(i, device int, in Interface) v1alpha1.Interface {
	block, place := i/nodesPerSubnet, i%nodesPerSubnet
	check := true
	out := v1alpha1.Interface{
		ID:              fmt.Sprintf("eni-%04d-%d", i, device),
		MACAddress:      fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>8, i&0xff, device),
		DeviceIndex:     int32(device),
		Name:            fmt.Sprintf("ens%d", 5+device),
		MTU:             9001,
		SubnetID:        subnetID(block, device),
		SecurityGroups:  []string{"sg-0001"},
		SourceDestCheck: &check,
		Tags:            in.Tags,
		PrimaryIPv4:     address4(block, device, place<<8+10),
		PrimaryIPv6:     address6(block, device, 0xffff, place),
	}
	for k := range in.Secondaries4 {
		if !in.Gaps || k%3 != 2 {
			out.SecondaryIPv4 = append(out.SecondaryIPv4, address4(block, device, place<<8+16+k))
		}
	}
	for k := range in.Secondaries6 {
		if !in.Gaps || k%3 != 2 {
			out.SecondaryIPv6 = append(out.SecondaryIPv6, address6(block, device, 0xfffe, place<<8+k))
		}
	}
	for k := range in.Prefixes4 {
		out.IPv4Prefixes = append(out.IPv4Prefixes, netip.PrefixFrom(address4(block, device, place<<8+64+16*k), 28))
	}
	for k := range in.Prefixes6 {
		out.IPv6Prefixes = append(out.IPv6Prefixes, netip.PrefixFrom(address6(block, device, place<<4+k, 0), 80))
	}
	return out
}

func subnetID(block, device int) string { return fmt.Sprintf("subnet-%02d-%d", block, device) }

func zone(block int) string { return "eu-central-1" + string(rune('a'+block%3)) }

// address4 is an address of the subnet 10.<block and device>.0.0/16.
func address4(block, device, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(block*MaxInterfaces + device), byte(host >> 8), byte(host)})
}

// address6 is an address of the subnet 2001:db8:0:<block and device>::/64, in its /80 of that number.
func address6(block, device, slash80, host int) netip.Addr {
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 7: byte(block*MaxInterfaces + device)}
	binary.BigEndian.PutUint16(b[8:], uint16(slash80))
	binary.BigEndian.PutUint32(b[12:], uint32(host))
	return netip.AddrFrom16(b)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// takes sets how many pods each node takes.
func (s *situation) takes(pods int32) {
	for i := range s.inv.Nodes {
		s.inv.Nodes[i].MaxPods = pods
	}
}

// more gives the first node's interface so many prefixes in all.
func (s *situation) more(count int) {
	nic := s.nic(0)
	first := nic.IPv4Prefixes[0].Addr().As4()
	nic.IPv4Prefixes = nil
	for range count {
		nic.IPv4Prefixes = append(nic.IPv4Prefixes, netip.PrefixFrom(netip.AddrFrom4(first), 28))
		first[3] += 16
	}
}

// small makes the first node an instance of three interfaces with three places each.
func (s *situation) small() {
	s.inv.InstanceTypes = append(s.inv.InstanceTypes, v1alpha1.InstanceType{Name: "t3.small", Hypervisor: "nitro",
		MaximumInterfaces: 3, IPv4PerInterface: 4, IPv6PerInterface: 4})
	s.inv.Nodes[0].InstanceType = "t3.small"
}

// spare attaches to the first node further interfaces, without addresses for pods.
func (s *situation) spare(count int) {
	for i := range count {
		s.inv.Nodes[0].Interfaces = append(s.inv.Nodes[0].Interfaces, v1alpha1.Interface{ID: fmt.Sprintf("eni-spare-%d", i),
			MACAddress: fmt.Sprintf("02:aa:00:00:00:%02x", i), DeviceIndex: int32(i) + 1, SubnetID: publicSubnetID})
	}
}

func capacityCases() []checkCase {
	return []checkCase{
		{
			id:  idMorePodsThanAddresses,
			bad: func(s *situation) { s.asDefault(); s.takes(17) },
			good: func(s *situation) { // as many as addresses
				s.asDefault()
				s.takes(16)
			},
			severity: plan.Warning, object: "network/main",
			says: "more pods than addresses on 2 of 2 nodes: node-0000 (17 pods, 16 IPv4 addresses), node-0001 (17 pods, 16 IPv4 addresses)",
		},
		{
			id:       idMorePodsThanAddresses, // each node for itself
			bad:      func(s *situation) { s.asDefault(); s.takes(32); s.more(2) },
			good:     func(s *situation) { s.takes(110) }, // pods of a further network are as many as their users want
			severity: plan.Warning, object: "network/main", says: "more pods than addresses on 1 of 2 nodes: node-0001 (32 pods, 16 IPv4",
		},
		{
			id:       idMorePodsThanAddresses, // what nodes take may not be known
			bad:      func(s *situation) { s.asDefault(); s.inv.Nodes[0].MaxPods = 110 },
			good:     func(s *situation) { s.asDefault() },
			severity: plan.Warning, object: "network/main", says: "more pods than addresses on 1 of 1 node: node-0000 (110 pods",
		},
		{
			id: idMorePodsThanAddresses, // of IPv6 there may be fewer: single addresses
			bad: func(s *situation) {
				s.asDefault()
				s.takes(10)
				for i := range s.inv.Nodes {
					nic := s.nic(i)
					nic.SecondaryIPv6, nic.IPv6Prefixes = []netip.Addr{nic.IPv6Prefixes[0].Addr().Next().Next().Next().Next().Next()}, nil
				}
			},
			good:     func(s *situation) { s.asDefault(); s.takes(10) },
			severity: plan.Warning, object: "network/main", says: "node-0000 (10 pods, 1 IPv6 address)",
		},
		{
			id: idManageNotBuilt,
			bad: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.Provisioning = &v1alpha1.Provisioning{Mode: v1alpha1.Manage}
				})}
			},
			good: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.Provisioning = &v1alpha1.Provisioning{Mode: v1alpha1.Observe}
				})}
			},
			severity: plan.Warning, object: "network/main", says: "this version only observes",
		},
		{
			id:       idMoreAddressesThanPods,
			bad:      func(s *situation) { s.asDefault(); s.takes(8) },
			good:     func(s *situation) { s.asDefault(); s.takes(9) },
			severity: plan.Info, object: "network/main", says: "at least twice as many IPv4 addresses as pods on 2 of 2 nodes: node-0000 (8 pods, 16 addresses)",
		},
		{
			id:  idInstanceAtLimit,
			bad: func(s *situation) { s.small(); s.more(3) },
			good: func(s *situation) {
				s.small()
				s.more(2)
			},
			severity: plan.Info, object: "node/node-0000",
			says: "t3.small has 1 of 3 interfaces that EC2 lets it have, of which eni-0000-0 cannot take another prefix or address (3 each); left are 0 places for prefixes or addresses, and 2 interfaces",
		},
		{
			id:       idInstanceAtLimit,
			bad:      func(s *situation) { s.small(); s.spare(2) },
			good:     func(s *situation) { s.small(); s.spare(1) },
			severity: plan.Info, object: "node/node-0000", says: "t3.small has 3 of 3 interfaces that EC2 lets it have; left are 8 places for prefixes or addresses, and 0 interfaces",
		},
		{
			id: idInstanceAtLimit, // nothing is left at all
			bad: func(s *situation) {
				s.small()
				s.inv.InstanceTypes[1].MaximumInterfaces = 1
				s.more(2)
				s.nic(0).SecondaryIPv4 = []netip.Addr{netip.MustParseAddr("10.0.0.200")}
			},
			good:     func(s *situation) { s.inv.Nodes[0].InstanceType = "t3.unknown"; s.more(8) },
			severity: plan.Info, object: "node/node-0000", says: "nothing is left for more IPv4 addresses",
		},
	}
}

// narrow makes the subnet 10.0.0.0/25 with these free addresses; both nodes are in it.
func (s *situation) narrow(free int32) {
	s.inv.Subnets[0].CIDR, s.inv.Subnets[0].AvailableIPv4 = netip.MustParsePrefix("10.0.0.0/25"), &free
	nic := s.nic(1)
	nic.PrimaryIPv4, nic.IPv4Prefixes = netip.MustParseAddr("10.0.0.11"), prefixes("10.0.0.80/28")
}

func (s *situation) reservation(cidr, kind string) {
	s.inv.SubnetCIDRReservations = append(s.inv.SubnetCIDRReservations, json.RawMessage(fmt.Sprintf(
		`{"SubnetCidrReservationId": "scr-1", "SubnetId": %q, "Cidr": %q, "ReservationType": %q}`, podSubnet, cidr, kind)))
}

func spaceCases() []checkCase {
	object := "subnet/" + podSubnet
	return []checkCase{
		{
			id: idSubnetShortOfPrefixes, // five blocks are free of what is known, but the number of free addresses says less
			bad: func(s *situation) {
				s.narrow(31)
			},
			good: func(s *situation) {
				s.narrow(32)
			},
			severity: plan.Warning, object: object, says: "10.0.0.0/25 has at most 1 free /28 left (free addresses: 31); prefixes of it are on 2 interfaces with pods",
		},
		{
			id: idSubnetShortOfPrefixes, // many addresses, but a known one in each block
			bad: func(s *situation) {
				s.narrow(80)
				for _, block := range []int{1, 2, 3, 6, 7} {
					s.inv.Nodes[0].Interfaces = append(s.inv.Nodes[0].Interfaces, v1alpha1.Interface{ID: fmt.Sprintf("eni-x%d", block), DeviceIndex: int32(block),
						MACAddress: fmt.Sprintf("02:0a:00:00:00:%02x", block), SubnetID: podSubnet, PrimaryIPv4: netip.AddrFrom4([4]byte{10, 0, 0, byte(block*16 + 5)})})
				}
			},
			good:     func(s *situation) { s.narrow(80) },
			severity: plan.Warning, object: object, says: "no free /28 left (free addresses: 80, scattered: a prefix needs 16 in a row)",
		},
		{
			id: idSubnetShortOfPrefixes, // what is reserved for others is not free
			bad: func(s *situation) {
				s.narrow(80)
				s.reservation("10.0.0.0/26", "explicit")
			},
			good: func(s *situation) {
				s.narrow(80)
				s.reservation("10.0.0.0/26", "prefix")
			},
			severity: plan.Warning, object: object, says: "at most 1 free /28 left",
		},
		{
			id:  idSubnetShortOfPrefixes, // secondary addresses need no 16 in a row
			bad: func(s *situation) { s.narrow(0) },
			good: func(s *situation) {
				s.narrow(0)
				for i := range s.inv.Nodes {
					nic := s.nic(i)
					nic.SecondaryIPv4, nic.IPv4Prefixes = []netip.Addr{nic.IPv4Prefixes[0].Addr()}, nil
				}
			},
			severity: plan.Warning, object: object, says: "no free /28 left (free addresses: 0)",
		},
	}
}

func mtuCases() []checkCase {
	size := func(size int32) func(*situation) {
		return func(s *situation) {
			s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) { n.MTU = size })}
		}
	}
	return []checkCase{
		{
			id:       idMTUAboveInterface,
			bad:      func(s *situation) { size(9001)(s); s.nic(1).MTU = 1500 },
			good:     func(s *situation) { size(9001)(s); s.nic(1).MTU = 0 }, // not known
			severity: plan.Error, object: "network/main", says: "spec.mtu is 9001; interfaces of the network that carry less: eni-0001-0 (node-0001: 1500)",
		},
		{
			id:       idMTUBelowIPv6,
			bad:      func(s *situation) { s.nic(0).MTU, s.nic(1).MTU = 1279, 1279 },
			good:     func(s *situation) { s.nic(0).MTU, s.nic(1).MTU = 1280, 1280 },
			severity: plan.Error, object: "network/ens5", says: "IPv6 needs links of 1280 bytes; interfaces with IPv6 pods that carry less: eni-0000-0 (node-0000: 1279), eni-0001-0",
		},
		{
			id:  idMTUBelowIPv6,
			bad: func(s *situation) { s.nic(0).MTU, s.nic(1).MTU = 1000, 1000 },
			good: func(s *situation) {
				s.nic(0).MTU, s.nic(1).MTU, s.nic(0).IPv6Prefixes, s.nic(1).IPv6Prefixes = 1000, 1000, nil, nil
			},
			severity: plan.Error, object: "network/ens5", says: "IPv6 needs",
		},
		{
			id:       idMTUDiffers,
			bad:      func(s *situation) { s.nic(1).MTU = 1500 },
			good:     func(s *situation) { size(1500)(s); s.nic(1).MTU = 1500 },
			severity: plan.Warning, object: "network/ens5", says: "1500 on 1 interface, 9001 on 1 interface; larger packets to the smaller ones are dropped without an answer; the smaller: eni-0001-0 (node-0001: 1500)",
		},
		{
			id:       idMTUBeyondVPC,
			bad:      func(s *situation) { s.table("rtb-1", podSubnet, toNAT, toEIGW, toList) },
			good:     func(s *situation) { size(8500)(s); s.table("rtb-1", podSubnet, toNAT, toEIGW, toList) },
			severity: plan.Info, object: "network/ens5", says: "packets larger than 8500 bytes, and have routes by tgw-1",
		},
		{
			id:       idMTUBeyondVPC,
			bad:      func(s *situation) { s.peering("active", "vpc-2", "eu-west-1") },
			good:     func(s *situation) { s.peering("active", "vpc-2", "eu-central-1") },
			severity: plan.Info, object: "network/ens5", says: "routes by pcx-1",
		},
	}
}

// peering is a connection of the nodes' VPC with another, and a route to it.
func (s *situation) peering(status, other, region string) {
	const connection = "pcx-1"
	s.inv.VPCPeeringConnections = append(s.inv.VPCPeeringConnections, json.RawMessage(fmt.Sprintf(`{"VpcPeeringConnectionId": %q, "Status": {"Code": %q},
		"AccepterVpcInfo": {"VpcId": %q, "Region": %q}, "RequesterVpcInfo": {"VpcId": "vpc-0001", "Region": "eu-central-1"}}`, connection, status, other, region)))
	s.table("rtb-"+connection, podSubnet, toNAT, toEIGW, fmt.Sprintf(`{"DestinationCidrBlock": "172.20.0.0/16", "VpcPeeringConnectionId": %q, "State": "active"}`, connection))
}

func TestAligned(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"10.0.0.0/24", []string{"10.0.0.0/24"}},
		{"10.0.0.5-10.0.0.63", []string{"10.0.0.16/28", "10.0.0.32/27"}},
		{"10.0.0.16-10.0.0.94", []string{"10.0.0.16/28", "10.0.0.32/27", "10.0.0.64/28"}},
		{"10.0.0.1-10.0.0.31", []string{"10.0.0.16/28"}},
		{"10.0.0.1-10.0.0.30", nil},
		{"255.255.255.200-255.255.255.255", []string{"255.255.255.208/28", "255.255.255.224/27"}},
	}
	for _, tt := range tests {
		r, err := iprange.Parse(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range aligned(r) {
			got = append(got, p.String())
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, d)
		}
	}
}

// TestReservation: what is proposed to be reserved holds no address that is known to be taken.
func TestReservation(t *testing.T) {
	s := fine()
	s.narrow(31)
	findings := s.findings()
	i := slices.IndexFunc(findings, func(f plan.Finding) bool { return f.ID == idSubnetShortOfPrefixes })
	want := "`aws ec2 create-subnet-cidr-reservation --subnet-id subnet-00-0 --reservation-type prefix --cidr 10.0.0.32/27`"
	if i < 0 || !slices.Contains([]string{findings[i].Remedy}, "keep what is left for prefixes: "+want+"; then use further subnets") {
		t.Errorf("want %s in %+v", want, findings)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// beside adds the cluster blue, with a node at 192.168.0.9 of which the cloud says nothing.
func (s *situation) beside(change func(*Peer)) {
	p := Peer{Context: "blue", PodCIDRs: prefixes("10.244.0.0/24"), ServiceCIDRs: prefixes("10.96.0.0/12")}
	p.Inventory.Nodes = []v1alpha1.Node{{Name: "blue-1", InternalIPs: []netip.Addr{netip.MustParseAddr("192.168.0.9")}}}
	if change != nil {
		change(&p)
	}
	s.peers = append(s.peers, p)
}

// in puts the peer's node into a VPC.
func (p *Peer) in(vpc string, cidrs ...string) {
	p.Inventory.VPCs = []v1alpha1.VPC{{ID: vpc, CIDRs: prefixes(cidrs...)}}
	p.Inventory.Subnets = []v1alpha1.Subnet{{ID: "subnet-b", VPCID: vpc}}
	p.Inventory.Nodes[0].Interfaces = []v1alpha1.Interface{{ID: "eni-b", SubnetID: "subnet-b"}}
}

func (p *Peer) attach(gateway, state string) {
	p.Inventory.TransitGatewayAttachments = append(p.Inventory.TransitGatewayAttachments, attachment(gateway, "vpc-b", state))
}

func attachment(gateway, vpc, state string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"TransitGatewayAttachmentId": "tgw-attach-%s", "TransitGatewayId": %q, "ResourceType": "vpc", "ResourceId": %q, "State": %q}`,
		vpc, gateway, vpc, state))
}

// pools gives the peer a pool of these ranges, on an interface.
func (p *Peer) pools(id, mac string, ranges ...v1alpha1.Range) {
	pool := v1alpha1.UnderlayPool{}
	pool.Name, pool.Spec.NodeName, pool.Spec.Ranges = "ens5.0.v4.blue-1", "blue-1", ranges
	pool.Spec.Interface = v1alpha1.PoolInterface{ID: id, MACAddress: mac}
	p.Pools = append(p.Pools, pool)
}

func peerCases() []checkCase {
	const apart = "192.168.0.0/16"
	return []checkCase{
		{
			id: idPeerInterfaceShared,
			bad: func(s *situation) {
				s.beside(func(p *Peer) { p.pools("eni-0000-0", "02:ff:00:00:00:01", "10.0.0.64/28") })
			},
			good: func(s *situation) {
				s.beside(func(p *Peer) { p.pools("eni-b", "02:ff:00:00:00:01", "192.168.0.16/28") })
			},
			severity: plan.Error, object: "interface/eni-0000-0 (node-0000)",
			says: "cluster blue has a pool of it too: ens5.0.v4.blue-1 on node blue-1, as this one has ens5.0.v4.node-0000",
		},
		{
			id: idPeerInterfaceShared, // by MAC address, and a pool that is not planned
			bad: func(s *situation) {
				s.inv.Nodes[0].Interfaces[0].IPv4Prefixes, s.inv.Nodes[0].Interfaces[0].IPv6Prefixes = nil, nil
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("mine", "manual", "10.0.0.64/28")}
				s.beside(func(p *Peer) { p.pools("", "02:00:00:00:00:00", "10.0.0.64/28") })
			},
			good: func(s *situation) {
				s.beside(func(p *Peer) { p.pools("", "02:00:00:00:00:09", "192.168.0.64/28") })
			},
			severity: plan.Error, object: "interface/eni-0000-0 (node-0000)", says: "as this one has mine",
		},
		{
			id: idPeerAddressesOverlap, // in one VPC
			bad: func(s *situation) {
				s.beside(func(p *Peer) {
					p.in("vpc-0001", "10.0.0.0/16")
					p.pools("eni-b", "02:ff:00:00:00:01", "10.0.0.72-10.0.0.90")
				})
			},
			good: func(s *situation) {
				s.beside(func(p *Peer) {
					p.in("vpc-0001", "10.0.0.0/16")
					p.pools("eni-b", "02:ff:00:00:00:01", "10.0.0.80/28")
				})
			},
			severity: plan.Error, object: "cluster/blue",
			says: "its pool addresses and the pool addresses of this cluster have 8 addresses in common: 10.0.0.72/29; two pods of one VPC",
		},
		{
			id: idPeerAddressesOverlap, // in another one, or where the cloud could not be asked
			bad: func(s *situation) {
				s.beside(func(p *Peer) { p.pools("eni-b", "02:ff:00:00:00:01", "10.0.0.79") })
			},
			good:     func(s *situation) { s.beside(nil) },
			severity: plan.Warning, object: "cluster/blue", says: "have 1 address in common: 10.0.0.79; whoever has such an address here cannot reach",
		},
		{
			id:  idPeerAddressesOverlap,
			bad: func(s *situation) { s.beside(func(p *Peer) { p.ServiceCIDRs = prefixes("10.0.0.0/12") }) },
			good: func(s *situation) { // both keep their services to themselves
				s.cluster.ServiceCIDRs = prefixes("10.96.0.0/12")
				s.beside(nil)
			},
			severity: plan.Warning, object: "cluster/blue", says: "its service CIDRs and the pool addresses of this cluster have 32 addresses in common: 10.0.0.64/28, 10.0.1.64/28; what pods there send here",
		},
		{
			id: idPeerAddressesOverlap,
			bad: func(s *situation) {
				s.cluster.ServiceCIDRs = prefixes("192.168.0.0/24")
				s.beside(nil)
			},
			good:     func(s *situation) { s.cluster.ServiceCIDRs = prefixes("192.168.1.0/24"); s.beside(nil) },
			severity: plan.Warning, object: "cluster/blue", says: "its node addresses and the service CIDRs of this cluster have 1 address in common: 192.168.0.9; what pods here send there",
		},
		{
			id:       idPeerAddressesOverlap,
			bad:      func(s *situation) { s.cluster.PodCIDRs = prefixes("10.244.0.0/16"); s.beside(nil) },
			good:     func(s *situation) { s.cluster.PodCIDRs = prefixes("10.244.1.0/24"); s.beside(nil) },
			severity: plan.Info, object: "cluster/blue", says: "its pod CIDRs and the pod CIDRs of this cluster have 256 addresses in common: 10.244.0.0/24; pods of these",
		},
		{
			id: idPeerVPCOverlap,
			bad: func(s *situation) {
				s.beside(func(p *Peer) { p.in("vpc-b", apart, "10.0.128.0/17") })
			},
			good: func(s *situation) { // one VPC overlaps with itself
				s.beside(func(p *Peer) { p.in("vpc-0001", "10.0.0.0/16") })
			},
			severity: plan.Warning, object: "cluster/blue", says: "its VPC vpc-b and the VPC vpc-0001 of this cluster both have 10.0.128.0/17",
		},
		{
			id: idPeerWithoutRoute,
			bad: func(s *situation) {
				s.asked = true
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			good: func(s *situation) { // what the file does not list may be there
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			severity: plan.Warning, object: "cluster/blue", says: "neither a peering connection nor a transit gateway joins its VPC vpc-b with the VPC vpc-0001",
		},
		{
			id: idPeerWithoutRoute, // VPCs that cannot be joined are another finding
			bad: func(s *situation) {
				s.asked = true
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			good: func(s *situation) {
				s.asked = true
				s.beside(func(p *Peer) { p.in("vpc-b", "10.0.0.0/16") })
			},
			severity: plan.Warning, object: "cluster/blue", says: "neither a peering",
		},
		{
			id: idPeerWithoutRoute, // what may not be read may be there
			bad: func(s *situation) {
				s.asked = true
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			good: func(s *situation) {
				s.asked = true
				s.unread = []*cloud.Error{{Action: "ec2:DescribeVpcPeeringConnections"}}
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			severity: plan.Warning, object: "cluster/blue", says: "neither a peering",
		},
		{
			id: idPeerWithoutRoute,
			bad: func(s *situation) {
				s.asked = true
				s.peering("pending-acceptance", "vpc-b", "eu-central-1")
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			good: func(s *situation) {
				s.asked = true
				s.peering("active", "vpc-b", "eu-central-1")
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			severity: plan.Warning, object: "cluster/blue", says: "the peering connection pcx-1 of its VPC vpc-b with the VPC vpc-0001 of this cluster is not active (pending-acceptance)",
		},
		{
			id: idPeerWithoutRoute, // a peering connection that no route leads to
			bad: func(s *situation) {
				s.peering("active", "vpc-b", "eu-central-1")
				s.inv.RouteTables = nil
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			good: func(s *situation) { // a VPN may lead there
				s.asked = true
				s.table("rtb-1", podSubnet, toNAT, toEIGW, `{"DestinationCidrBlock": "192.168.0.0/16", "GatewayId": "vgw-1", "State": "active"}`)
				s.beside(func(p *Peer) { p.in("vpc-b", apart) })
			},
			severity: plan.Warning, object: "cluster/blue", says: "pcx-1 with its VPC vpc-b is active, but no route leads to it from subnets of our pods (route table rtb-1)",
		},
		{
			id: idPeerWithoutRoute,
			bad: func(s *situation) {
				s.asked = true
				s.inv.TransitGatewayAttachments = []json.RawMessage{attachment("tgw-1", "vpc-0001", "available")}
				s.beside(func(p *Peer) { p.in("vpc-b", apart); p.attach("tgw-2", "available"); p.attach("tgw-1", "deleted") })
			},
			good: func(s *situation) {
				s.asked = true
				s.inv.TransitGatewayAttachments = []json.RawMessage{attachment("tgw-1", "vpc-0001", "available")}
				s.beside(func(p *Peer) { p.in("vpc-b", apart); p.attach("tgw-1", "available") })
				s.beside(func(p *Peer) { p.in("vpc-c", "192.168.0.0/16") }) // its attachments are another account's
			},
			severity: plan.Warning, object: "cluster/blue", says: "neither a peering",
		},
	}
}

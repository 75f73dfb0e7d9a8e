// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// table adds a route table of a subnet, or the main one of the VPC without a subnet, as EC2 prints it.
func (s *situation) table(id, subnet string, routes ...string) {
	association := `{"Main": true}`
	if subnet != "" {
		association = fmt.Sprintf(`{"Main": false, "SubnetId": %q}`, subnet)
	}
	routes = append([]string{`{"DestinationCidrBlock": "10.0.0.0/8", "GatewayId": "local", "State": "active"}`}, routes...)
	s.inv.RouteTables = append(s.inv.RouteTables, json.RawMessage(fmt.Sprintf(`{"RouteTableId": %q, "VpcId": "vpc-0001", "Associations": [%s], "Routes": [%s]}`,
		id, association, strings.Join(routes, ","))))
}

// nat adds a NAT gateway, in another subnet than the pods.
func (s *situation) nat(id, state string) {
	s.inv.NATGateways = append(s.inv.NATGateways, json.RawMessage(fmt.Sprintf(
		`{"NatGatewayId": %q, "SubnetId": %q, "State": %q, "ConnectivityType": "public", "FailureMessage": %q}`,
		id, publicSubnetID, state, map[bool]string{true: "no address is left"}[state == "failed"])))
}

// The ways of a default route.
const (
	toNAT     = `{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}`
	toLostNAT = `{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "blackhole"}`
	toIGW     = `{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}`
	toIGW6    = `{"DestinationIpv6CidrBlock": "::/0", "GatewayId": "igw-1", "State": "active"}`
	toEIGW    = `{"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"}`
	toList    = `{"DestinationPrefixListId": "pl-1", "TransitGatewayId": "tgw-1", "State": "active"}`
	toS3      = `{"DestinationPrefixListId": "pl-2", "GatewayId": "vpce-1", "State": "active"}`
)

// podSubnet is where the fixture's nodes are, publicSubnetID another one of their VPC.
const podSubnet, publicSubnetID = "subnet-00-0", "subnet-00-1"

func egressCases() []checkCase {
	object := "subnet/" + podSubnet
	return []checkCase{
		{
			id: idPublicSubnet,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toIGW, toIGW6)
			},
			good: func(s *situation) { // the subnet's own table counts, and not the main one
				s.table("rtb-0", "", toIGW)
				s.table("rtb-1", podSubnet, toNAT, toIGW6)
			},
			severity: plan.Warning, object: object, says: "route table rtb-1 sends 0.0.0.0/0 to igw-1, which translates no address without an Elastic IP; pods' addresses usually have none: IPv4 pods on 2 nodes do not reach the internet",
		},
		{
			id: idPublicSubnet, // by the main table
			bad: func(s *situation) {
				s.table("rtb-0", "", toIGW)
				s.table("rtb-1", publicSubnetID, toNAT)
			},
			good: func(s *situation) { // IPv6 needs no translation
				s.inv = plantest.Inventory(plantest.Uniform(2, plantest.Node{{Prefixes6: 1}}))
				s.table("rtb-0", "", toIGW, toIGW6)
			},
			severity: plan.Warning, object: object, says: "route table rtb-0",
		},
		{
			id:       idInternetRouteMissing,
			bad:      func(s *situation) { s.table("rtb-1", podSubnet, toEIGW, toS3) },
			good:     func(s *situation) { s.table("rtb-1", podSubnet, toEIGW, toList) }, // which may have it
			severity: plan.Warning, object: object, says: "rtb-1 has no route to 0.0.0.0/0: IPv4 pods on 2 nodes do not reach",
		},
		{
			id:  idInternetRouteMissing,
			bad: func(s *situation) { s.table("rtb-1", podSubnet, toNAT) },
			good: func(s *situation) { // two halves, as VPNs write them; and a subnet that carries no pods
				half := `{"DestinationCidrBlock": "%s/1", "NetworkInterfaceId": "eni-9", "State": "active"}`
				s.table("rtb-1", podSubnet, fmt.Sprintf(half, "0.0.0.0"), fmt.Sprintf(half, "128.0.0.0"), toEIGW)
				s.table("rtb-2", publicSubnetID)
			},
			severity: plan.Info, object: object, says: "no route to ::/0: IPv6 pods on 2 nodes",
		},
		{
			id:  idInternetRouteMissing, // unknown is not missing
			bad: func(s *situation) { s.table("rtb-1", podSubnet) },
			good: func(s *situation) {
				s.inv.RouteTables = []json.RawMessage{[]byte(`{"RouteTableId": "rtb-1", "VpcId": "vpc-0001", "Associations": [{"Main": true}]}`),
					[]byte(`{"RouteTableId": "rtb-2", "VpcId": "vpc-far", "Associations": [{"Main": true}], "Routes": []}`),
					[]byte(`{"RouteTableId": "rtb-3", "Associations": [{"SubnetId": "subnet-00-0"}], "Routes": [{"DestinationCidrBlock": "?"}]}`)}
			},
			severity: plan.Warning, object: object, says: "no route to 0.0.0.0/0",
		},
		{
			id: idInternetRouteBroken,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toLostNAT, toEIGW)
			},
			good: func(s *situation) { // which NAT gateways there are is not known
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
			},
			severity: plan.Error, object: object, says: "rtb-1 sends 0.0.0.0/0 of IPv4 pods on 2 nodes to nat-1, which is gone (blackhole)",
		},
		{
			id: idInternetRouteBroken,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT)
				s.nat("nat-1", "failed")
			},
			good: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT)
				s.table("rtb-2", publicSubnetID, toIGW)
				s.nat("nat-1", "available")
				s.nat("nat-2", "failed")
			},
			severity: plan.Error, object: object, says: "nat-1, which does not work (failed: no address is left)",
		},
		{
			id: idInternetRouteBroken,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT)
				s.nat("nat-1", "pending")
			},
			good:     func(s *situation) { s.nat("nat-1", "pending") },
			severity: plan.Warning, object: object, says: "being made (pending)",
		},
		{
			id: idInternetRouteBroken, // the NAT gateway is in a private subnet itself
			bad: func(s *situation) {
				s.table("rtb-1", "", toNAT)
				s.nat("nat-1", "available")
			},
			good: func(s *situation) { // whose way out may be hidden
				s.table("rtb-1", podSubnet, toNAT)
				s.table("rtb-0", "", toList)
				s.nat("nat-1", "available")
			},
			severity: plan.Error, object: object, says: "whose own subnet subnet-00-1 (route table rtb-1) sends 0.0.0.0/0 back to it",
		},
		{
			id: idInternetRouteBroken,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT, `{"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "blackhole"}`)
			},
			good:     func(s *situation) { s.table("rtb-1", podSubnet, toNAT, toEIGW) },
			severity: plan.Error, object: object, says: "::/0 of IPv6 pods on 2 nodes to eigw-1, which is gone",
		},
		{
			id: idNATInOtherZone,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT)
				s.nat("nat-1", "available")
				s.inv.Subnets[1].Zone = "eu-central-1b"
			},
			good: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT)
				s.nat("nat-1", "available")
			},
			severity: plan.Info, object: object, says: "the subnet is in eu-central-1a, but its way out nat-1 in eu-central-1b",
		},
		{
			id:  idSourceDestCheckOff,
			bad: func(s *situation) { *s.nic(1).SourceDestCheck = false },
			good: func(s *situation) { // off where no pods are; and unknown
				s.inv.Nodes[0].Interfaces = append(s.inv.Nodes[0].Interfaces, v1alpha1.Interface{ID: "eni-x", MACAddress: "02:01:01:01:01:01",
					DeviceIndex: 1, SubnetID: podSubnet, SourceDestCheck: new(false)})
				s.nic(1).SourceDestCheck = nil
			},
			severity: plan.Info, object: "interface/eni-0001-0 (node-0001)", says: "source/destination check is off",
		},
	}
}

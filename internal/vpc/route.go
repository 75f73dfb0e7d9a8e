// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package vpc

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Prefix is a network in an item; the zero value where the item has none.
type Prefix = netip.Prefix

// RouteTable of a VPC.
type RouteTable struct {
	ID           string             `json:"RouteTableId"`
	VPCID        string             `json:"VpcId"`
	Associations []TableAssociation `json:"Associations"`
	// Routes is nil where the item does not list them.
	Routes []Route `json:"Routes"`
}

// TableAssociation is of a subnet or, for the main table, of all others of the VPC.
type TableAssociation struct {
	Main     bool   `json:"Main"`
	SubnetID string `json:"SubnetId"`
}

// Route has one destination and one target.
type Route struct {
	IPv4       Prefix `json:"DestinationCidrBlock"`
	IPv6       Prefix `json:"DestinationIpv6CidrBlock"`
	PrefixList string `json:"DestinationPrefixListId"`
	// GatewayID is local, igw-…, vgw-… or vpce-….
	GatewayID              string `json:"GatewayId"`
	NATGatewayID           string `json:"NatGatewayId"`
	EgressOnlyGatewayID    string `json:"EgressOnlyInternetGatewayId"`
	TransitGatewayID       string `json:"TransitGatewayId"`
	VPCPeeringConnectionID string `json:"VpcPeeringConnectionId"`
	InstanceID             string `json:"InstanceId"`
	NetworkInterfaceID     string `json:"NetworkInterfaceId"`
	LocalGatewayID         string `json:"LocalGatewayId"`
	CarrierGatewayID       string `json:"CarrierGatewayId"`
	CoreNetworkARN         string `json:"CoreNetworkArn"`
	// State is blackhole where the target is gone.
	State string `json:"State"`
}

// Destination of the family; the zero Prefix where the route is of the other, or of a prefix list.
func (r Route) Destination(family v1alpha1.IPFamily) netip.Prefix {
	if family == v1alpha1.IPv6 {
		return r.IPv6
	}
	return r.IPv4
}

// Target names what the route leads to.
func (r Route) Target() string {
	for _, id := range []string{r.NATGatewayID, r.EgressOnlyGatewayID, r.TransitGatewayID, r.VPCPeeringConnectionID,
		r.NetworkInterfaceID, r.InstanceID, r.LocalGatewayID, r.CarrierGatewayID, r.CoreNetworkARN, r.GatewayID} {
		if id != "" {
			return id
		}
	}
	return "an unknown target"
}

// Blackhole says that the route drops what it is for.
func (r Route) Blackhole() bool { return r.State == "blackhole" }

// ToInternetGateway says that what takes the route keeps its address.
func (r Route) ToInternetGateway() bool { return strings.HasPrefix(r.GatewayID, "igw-") }

// TableOf is the route table of a subnet: its own, else the main one of its VPC; nil if unknown.
func (s Surroundings) TableOf(subnet v1alpha1.Subnet) *RouteTable {
	var main *RouteTable
	for i := range s.RouteTables {
		t := &s.RouteTables[i]
		for _, a := range t.Associations {
			switch {
			case a.SubnetID != "" && a.SubnetID == subnet.ID:
				return t
			case a.Main && t.VPCID == subnet.VPCID && main == nil:
				main = t
			}
		}
	}
	return main
}

// Default is the route of the family for all that no other route is for; halves of it count too, and of several the one
// that drops. hidden says that a prefix list, whose addresses the item does not show, may be another.
func (t *RouteTable) Default(family v1alpha1.IPFamily) (route Route, found, hidden bool) {
	for _, r := range t.Routes {
		if r.PrefixList != "" && !strings.HasPrefix(r.GatewayID, "vpce-") { // those are of S3 and DynamoDB
			hidden = true
		}
		// Two halves are a default route too, as VPNs write it.
		if d := r.Destination(family); d.IsValid() && d.Bits() <= 1 && (!found || r.Blackhole()) {
			route, found = r, true
		}
	}
	return route, found, hidden
}

// Leads says whether a route of the table leads to a target, such as a peering connection, by its id.
func (t *RouteTable) Leads(target string) bool {
	return slices.ContainsFunc(t.Routes, func(r Route) bool { return r.Target() == target && !r.Blackhole() })
}

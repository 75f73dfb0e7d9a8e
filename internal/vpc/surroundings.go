// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package vpc

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Surroundings are an inventory's verbatim items, each list by id.
type Surroundings struct {
	RouteTables               []RouteTable
	SecurityGroups            []SecurityGroup
	NetworkACLs               []NetworkACL
	NATGateways               []NATGateway
	VPCPeeringConnections     []PeeringConnection
	TransitGatewayAttachments []TransitGatewayAttachment
	SubnetCIDRReservations    []SubnetCIDRReservation
}

// Of reads an inventory.
func Of(inv *v1alpha1.Inventory) Surroundings {
	return Surroundings{
		RouteTables:               decode(inv.RouteTables, func(t RouteTable) string { return t.ID }),
		SecurityGroups:            decode(inv.SecurityGroups, func(g SecurityGroup) string { return g.ID }),
		NetworkACLs:               decode(inv.NetworkACLs, func(a NetworkACL) string { return a.ID }),
		NATGateways:               decode(inv.NATGateways, func(g NATGateway) string { return g.ID }),
		VPCPeeringConnections:     decode(inv.VPCPeeringConnections, func(c PeeringConnection) string { return c.ID }),
		TransitGatewayAttachments: decode(inv.TransitGatewayAttachments, func(a TransitGatewayAttachment) string { return a.ID }),
		SubnetCIDRReservations:    decode(inv.SubnetCIDRReservations, func(r SubnetCIDRReservation) string { return r.ID }),
	}
}

func decode[T any](items []json.RawMessage, id func(T) string) []T {
	var out []T
	for _, raw := range items {
		var item T
		if err := json.Unmarshal(raw, &item); err == nil {
			out = append(out, item)
		}
	}
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(id(a), id(b)) })
	return out
}

// NATGateway of a subnet.
type NATGateway struct {
	ID string `json:"NatGatewayId"`
	// SubnetID is empty for one that spans a region's zones.
	SubnetID string `json:"SubnetId"`
	// State is pending, failed, available, deleting or deleted.
	State          string `json:"State"`
	FailureMessage string `json:"FailureMessage"`
	// ConnectivityType is public or private.
	ConnectivityType string `json:"ConnectivityType"`
}

// NATGateway by its id.
func (s Surroundings) NATGateway(id string) (NATGateway, bool) {
	i := slices.IndexFunc(s.NATGateways, func(g NATGateway) bool { return g.ID == id })
	if i < 0 {
		return NATGateway{}, false
	}
	return s.NATGateways[i], true
}

// PeeringConnection joins two VPCs.
type PeeringConnection struct {
	ID        string   `json:"VpcPeeringConnectionId"`
	Accepter  PeerSide `json:"AccepterVpcInfo"`
	Requester PeerSide `json:"RequesterVpcInfo"`
	Status    struct {
		// Code is active where it works.
		Code string `json:"Code"`
	} `json:"Status"`
}

// PeerSide is one of the two VPCs.
type PeerSide struct {
	VPCID  string `json:"VpcId"`
	Region string `json:"Region"`
}

// Joins says whether the connection is between the two VPCs.
func (c PeeringConnection) Joins(a, b string) bool {
	return c.Accepter.VPCID == a && c.Requester.VPCID == b || c.Accepter.VPCID == b && c.Requester.VPCID == a
}

// TransitGatewayAttachment joins a VPC, a VPN or another network to a transit gateway.
type TransitGatewayAttachment struct {
	ID               string `json:"TransitGatewayAttachmentId"`
	TransitGatewayID string `json:"TransitGatewayId"`
	// ResourceID is the VPC's id where ResourceType is vpc.
	ResourceID   string `json:"ResourceId"`
	ResourceType string `json:"ResourceType"`
	// State is available where it works.
	State string `json:"State"`
}

// SubnetCIDRReservation keeps addresses of a subnet for one use.
type SubnetCIDRReservation struct {
	ID       string `json:"SubnetCidrReservationId"`
	SubnetID string `json:"SubnetId"`
	CIDR     Prefix `json:"Cidr"`
	// Type is prefix (for delegated prefixes alone) or explicit (for who names an address of it).
	Type string `json:"ReservationType"`
}

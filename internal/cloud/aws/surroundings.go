// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

const (
	// routeTablePageSize and egressOnlyPageSize are the most that these take as MaxResults.
	routeTablePageSize = 100
	egressOnlyPageSize = 255
	// atOnce is how many subnets are asked about at the same time.
	atOnce = 10
)

// Surroundings implements cloud.Provider.
func (p *Provider) Surroundings(ctx context.Context, inv v1alpha1.Inventory) (v1alpha1.Inventory, []*cloud.Error, error) {
	if len(inv.VPCs) == 0 {
		return inv, nil, nil
	}
	conn, err := p.connect(ctx, nodeRegion(inv.Nodes))
	if err != nil {
		return inv, nil, err
	}
	var vpcs []string
	for _, vpc := range inv.VPCs {
		vpcs = append(vpcs, vpc.ID)
	}
	var missing []*cloud.Error
	calls := ec2Reader(*conn).surroundings(ctx, vpcs, &inv)
	errs := attempt(calls)
	for chunk := range slices.Chunk(nodeSubnets(inv), atOnce) {
		errs = append(errs, ec2Reader(*conn).reservations(ctx, chunk, &inv)...)
	}
	for _, err := range errs {
		var e *cloud.Error
		if !errors.As(err, &e) || e.Reason != cloud.Unauthorized {
			return inv, nil, err
		}
		missing = append(missing, e)
	}
	slices.SortFunc(missing, func(a, b *cloud.Error) int { return cmp.Compare(a.Action, b.Action) })
	return inv, slices.CompactFunc(missing, func(a, b *cloud.Error) bool { return a.Action == b.Action }), nil
}

// surroundings are the calls that fill the inventory's lists, each another one.
func (r ec2Reader) surroundings(ctx context.Context, vpcs []string, inv *v1alpha1.Inventory) []func() error {
	inVPC := []types.Filter{filter("vpc-id", vpcs...)}
	size := new(int32(pageSize))
	return []func() error{
		fill(r, &inv.RouteTables, "ec2:DescribeRouteTables", func(t *string) ([]types.RouteTable, *string, error) {
			out, err := r.api.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: inVPC, MaxResults: new(int32(routeTablePageSize)), NextToken: t})
			return or(out).RouteTables, or(out).NextToken, err
		}),
		fill(r, &inv.SecurityGroups, "ec2:DescribeSecurityGroups", func(t *string) ([]types.SecurityGroup, *string, error) {
			out, err := r.api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: inVPC, MaxResults: size, NextToken: t})
			return or(out).SecurityGroups, or(out).NextToken, err
		}),
		fill(r, &inv.NetworkACLs, "ec2:DescribeNetworkAcls", func(t *string) ([]types.NetworkAcl, *string, error) {
			out, err := r.api.DescribeNetworkAcls(ctx, &ec2.DescribeNetworkAclsInput{Filters: inVPC, MaxResults: size, NextToken: t})
			return or(out).NetworkAcls, or(out).NextToken, err
		}),
		fill(r, &inv.NATGateways, "ec2:DescribeNatGateways", func(t *string) ([]types.NatGateway, *string, error) {
			out, err := r.api.DescribeNatGateways(ctx, &ec2.DescribeNatGatewaysInput{Filter: inVPC, MaxResults: size, NextToken: t})
			return or(out).NatGateways, or(out).NextToken, err
		}),
		fill(r, &inv.InternetGateways, "ec2:DescribeInternetGateways", func(t *string) ([]types.InternetGateway, *string, error) {
			out, err := r.api.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{
				Filters: []types.Filter{filter("attachment.vpc-id", vpcs...)}, MaxResults: size, NextToken: t})
			return or(out).InternetGateways, or(out).NextToken, err
		}),
		// EC2 has no filter by VPC for these two: an account has few of them.
		fill(r, &inv.EgressOnlyInternetGateways, "ec2:DescribeEgressOnlyInternetGateways", func(t *string) ([]types.EgressOnlyInternetGateway, *string, error) {
			out, err := r.api.DescribeEgressOnlyInternetGateways(ctx, &ec2.DescribeEgressOnlyInternetGatewaysInput{MaxResults: new(int32(egressOnlyPageSize)), NextToken: t})
			return slices.DeleteFunc(or(out).EgressOnlyInternetGateways, func(g types.EgressOnlyInternetGateway) bool {
				return !slices.ContainsFunc(g.Attachments, func(a types.InternetGatewayAttachment) bool { return slices.Contains(vpcs, str(a.VpcId)) })
			}), or(out).NextToken, err
		}),
		fill(r, &inv.VPCPeeringConnections, "ec2:DescribeVpcPeeringConnections", func(t *string) ([]types.VpcPeeringConnection, *string, error) {
			out, err := r.api.DescribeVpcPeeringConnections(ctx, &ec2.DescribeVpcPeeringConnectionsInput{MaxResults: size, NextToken: t})
			return slices.DeleteFunc(or(out).VpcPeeringConnections, func(c types.VpcPeeringConnection) bool {
				return !slices.Contains(vpcs, str(or(c.AccepterVpcInfo).VpcId)) && !slices.Contains(vpcs, str(or(c.RequesterVpcInfo).VpcId))
			}), or(out).NextToken, err
		}),
		fill(r, &inv.TransitGatewayAttachments, "ec2:DescribeTransitGatewayAttachments", func(t *string) ([]types.TransitGatewayAttachment, *string, error) {
			out, err := r.api.DescribeTransitGatewayAttachments(ctx, &ec2.DescribeTransitGatewayAttachmentsInput{
				Filters: []types.Filter{filter("resource-id", vpcs...)}, MaxResults: size, NextToken: t})
			return or(out).TransitGatewayAttachments, or(out).NextToken, err
		}),
	}
}

// reservations adds those of subnets, which EC2 tells of one subnet a call.
func (r ec2Reader) reservations(ctx context.Context, subnets []string, inv *v1alpha1.Inventory) []error {
	lists := make([][]json.RawMessage, len(subnets))
	var calls []func() error
	for i, subnet := range subnets {
		calls = append(calls, fill(r, &lists[i], "ec2:GetSubnetCidrReservations", func(t *string) ([]types.SubnetCidrReservation, *string, error) {
			out, err := r.api.GetSubnetCidrReservations(ctx, &ec2.GetSubnetCidrReservationsInput{SubnetId: &subnet, MaxResults: new(int32(pageSize)), NextToken: t})
			return slices.Concat(or(out).SubnetIpv4CidrReservations, or(out).SubnetIpv6CidrReservations), or(out).NextToken, err
		}))
	}
	errs := attempt(calls)
	for _, list := range lists {
		inv.SubnetCIDRReservations = append(inv.SubnetCIDRReservations, list...)
	}
	return errs
}

// nodeSubnets are the subnets that the nodes' interfaces are in, sorted.
func nodeSubnets(inv v1alpha1.Inventory) []string {
	var out []string
	for _, node := range inv.Nodes {
		for _, nic := range node.Interfaces {
			out = append(out, nic.SubnetID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fill reads all pages of an action into a list, as the AWS CLI prints them. The order is EC2's, which goes by id.
func fill[T any](r ec2Reader, list *[]json.RawMessage, action string, page func(token *string) ([]T, *string, error)) func() error {
	return func() error {
		items, err := pages(r, action, page)
		if err != nil {
			return err
		}
		*list = nil
		for _, item := range items {
			raw, err := verbatim(item)
			if err != nil {
				return err
			}
			*list = append(*list, raw)
		}
		return nil
	}
}

// or is what a pointer points to, or the zero value.
func or[T any](p *T) T {
	if p == nil {
		var none T
		return none
	}
	return *p
}

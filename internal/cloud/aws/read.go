// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ec2Reader describes by filter, page by page. Its errors are *cloud.Error.
type ec2Reader connection

const (
	// pageSize is the most that EC2 takes as MaxResults.
	pageSize = 1000
	// typePageSize is the same for DescribeInstanceTypes.
	typePageSize = 100
	// filterValues is how many values EC2 takes in the filters of one call.
	filterValues = 200
)

// instances describes those that match any of the values, and are alive.
func (r ec2Reader) instances(ctx context.Context, name string, values []string) ([]types.Instance, error) {
	in := &ec2.DescribeInstancesInput{
		Filters: []types.Filter{
			filter(name, values...),
			// Those that are shutting down or terminated hold no addresses any more.
			filter("instance-state-name", "pending", "running", "stopping", "stopped"),
		},
		MaxResults: new(int32(pageSize)),
	}
	return pages(r, "ec2:DescribeInstances", func(token *string) ([]types.Instance, *string, error) {
		in.NextToken = token
		out, err := r.api.DescribeInstances(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		var instances []types.Instance
		for _, reservation := range out.Reservations {
			instances = append(instances, reservation.Instances...)
		}
		return instances, out.NextToken, nil
	})
}

// interfaces describes those that match any of the values, and all of the filters.
func (r ec2Reader) interfaces(ctx context.Context, name string, values []string, filters ...types.Filter) ([]types.NetworkInterface, error) {
	if len(values) == 0 {
		return nil, nil
	}
	in := &ec2.DescribeNetworkInterfacesInput{
		Filters:    append(filters, filter(name, values...)),
		MaxResults: new(int32(pageSize)),
	}
	return pages(r, "ec2:DescribeNetworkInterfaces", func(token *string) ([]types.NetworkInterface, *string, error) {
		in.NextToken = token
		out, err := r.api.DescribeNetworkInterfaces(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		return out.NetworkInterfaces, out.NextToken, nil
	})
}

func (r ec2Reader) subnets(ctx context.Context, name string, values []string) ([]types.Subnet, error) {
	in := &ec2.DescribeSubnetsInput{Filters: []types.Filter{filter(name, values...)}, MaxResults: new(int32(pageSize))}
	return pages(r, "ec2:DescribeSubnets", func(token *string) ([]types.Subnet, *string, error) {
		in.NextToken = token
		out, err := r.api.DescribeSubnets(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		return out.Subnets, out.NextToken, nil
	})
}

func (r ec2Reader) vpcs(ctx context.Context, vpcs []string) ([]types.Vpc, error) {
	in := &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("vpc-id", vpcs...)}, MaxResults: new(int32(pageSize))}
	return pages(r, "ec2:DescribeVpcs", func(token *string) ([]types.Vpc, *string, error) {
		in.NextToken = token
		out, err := r.api.DescribeVpcs(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		return out.Vpcs, out.NextToken, nil
	})
}

func (r ec2Reader) instanceTypes(ctx context.Context, names []string) ([]types.InstanceTypeInfo, error) {
	var all []types.InstanceTypeInfo
	for chunk := range slices.Chunk(names, filterValues) {
		in := &ec2.DescribeInstanceTypesInput{
			Filters:    []types.Filter{filter("instance-type", chunk...)},
			MaxResults: new(int32(typePageSize)),
		}
		infos, err := pages(r, "ec2:DescribeInstanceTypes", func(token *string) ([]types.InstanceTypeInfo, *string, error) {
			in.NextToken = token
			out, err := r.api.DescribeInstanceTypes(ctx, in)
			if err != nil {
				return nil, nil, err
			}
			return out.InstanceTypes, out.NextToken, nil
		})
		if err != nil {
			return nil, err
		}
		all = append(all, infos...)
	}
	return all, nil
}

// attached chooses interfaces that are attached to something.
func attached() types.Filter { return filter("attachment.status", "attached") }

// withIP chooses the types of interfaces that carry addresses on an instance: efa-only ones carry none; load
// balancers, functions and endpoints are no instances, and can be many.
func withIP() types.Filter { return filter("interface-type", "interface", "efa", "trunk") }

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// pages collects all pages of an action.
func pages[T any](r ec2Reader, action string, page func(token *string) ([]T, *string, error)) ([]T, error) {
	var (
		all   []T
		token *string
	)
	for {
		items, next, err := page(token)
		if err != nil {
			return nil, explain(action, err, r.place)
		}
		all = append(all, items...)
		if str(next) == "" {
			return all, nil
		}
		if str(next) == str(token) {
			return nil, explain(action, fmt.Errorf("the answer's next page is the same page again"), r.place)
		}
		token = next
	}
}

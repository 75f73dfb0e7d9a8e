// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// Permissions that a snapshot needs, sorted.
func Permissions() []string {
	return []string{
		"ec2:DescribeInstanceTypes",
		"ec2:DescribeInstances",
		"ec2:DescribeNetworkInterfaces",
		"ec2:DescribeSubnets",
		"ec2:DescribeVpcs",
	}
}

// SurroundingsPermissions are what a list of surroundings needs each, sorted. Where one is missing, only its list is.
func SurroundingsPermissions() []string {
	return []string{
		"ec2:DescribeEgressOnlyInternetGateways",
		"ec2:DescribeInternetGateways",
		"ec2:DescribeNatGateways",
		"ec2:DescribeNetworkAcls",
		"ec2:DescribeRouteTables",
		"ec2:DescribeSecurityGroups",
		"ec2:DescribeTransitGatewayAttachments",
		"ec2:DescribeVpcPeeringConnections",
		"ec2:GetSubnetCidrReservations",
	}
}

// Policy is an IAM policy document.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement of a policy. Resource is one or a list.
type Statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Action    []string
	Resource  any
	Condition map[string]map[string]string `json:",omitempty"`
}

func allow(sid string, resource any, condition map[string]map[string]string, actions ...string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resource, Condition: condition}
}

// ObservePolicy is the least that plans and checks need. Describe actions know no resources, hence "*".
func ObservePolicy() Policy {
	return Policy{"2012-10-17", []Statement{
		allow("Plan", "*", nil, Permissions()...),
		allow("Check", "*", nil, SurroundingsPermissions()...),
	}}
}

// ManagePolicy is the least that the operator needs for networks with provisioning.mode Manage in the cluster of that
// id (the uid of its namespace kube-system): it reads, and writes to interfaces with the cluster's tag alone.
// Which resources and conditions an action knows:
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func ManagePolicy(cluster string) Policy {
	const nics = "arn:aws:ec2:*:*:network-interface/*"
	tagged := func(key string) map[string]map[string]string {
		return map[string]map[string]string{"StringEquals": {key + "/underlay.dev/cluster": cluster}}
	}
	created := tagged("aws:ResourceTag")
	created["StringEquals"]["aws:ResourceTag/underlay.dev/created"] = "true"
	return Policy{"2012-10-17", []Statement{
		allow("Plan", "*", nil, Permissions()...),
		allow("Assign", nics, tagged("aws:ResourceTag"), "ec2:AssignIpv6Addresses", "ec2:AssignPrivateIpAddresses",
			"ec2:AttachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute", "ec2:UnassignIpv6Addresses", "ec2:UnassignPrivateIpAddresses"),
		allow("RemoveOwn", nics, created, "ec2:DeleteNetworkInterface", "ec2:DetachNetworkInterface"),
		allow("AttachToInstances", "arn:aws:ec2:*:*:instance/*", nil, "ec2:AttachNetworkInterface", "ec2:DetachNetworkInterface"),
		allow("Create", nics, tagged("aws:RequestTag"), "ec2:CreateNetworkInterface"),
		allow("CreateIn", []string{"arn:aws:ec2:*:*:security-group/*", "arn:aws:ec2:*:*:subnet/*"}, nil, "ec2:CreateNetworkInterface"),
		allow("TagWhatIsCreated", nics, map[string]map[string]string{"StringEquals": {"ec2:CreateAction": "CreateNetworkInterface"}}, "ec2:CreateTags"),
	}}
}

// LoadBalancerPolicy is the least that the readiness for load balancers is found by.
func LoadBalancerPolicy() Policy {
	return Policy{"2012-10-17", []Statement{
		allow("Plan", "*", nil, Permissions()...),
		allow("LoadBalancers", "*", nil, "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups"),
	}}
}

// statement is what to add to an IAM policy for what the actions, joined by commas, are needed for.
func statement(actions string) string {
	needed := Permissions()
	if slices.ContainsFunc(SurroundingsPermissions(), func(p string) bool { return strings.Contains(actions, p) }) {
		needed = SurroundingsPermissions()
	}
	text, err := json.Marshal(Statement{Effect: "Allow", Action: needed, Resource: "*"})
	if err != nil {
		return strings.Join(needed, ", ")
	}
	return string(text)
}

// nameAll adds to a refusal the other permissions of a snapshot that are missing too: EC2 says by a dry run whether it
// would allow a call.
func (r ec2Reader) nameAll(ctx context.Context, err error) error {
	var refused *cloud.Error
	if !errors.As(err, &refused) || refused.Reason != cloud.Unauthorized || !strings.HasPrefix(refused.Action, "ec2:") {
		return err
	}
	dry := sdk.Bool(true)
	ask := func(action string, call func() error) func() error {
		return func() error {
			e := explain(action, call(), r.place)
			if e.Reason == cloud.Unauthorized {
				return e
			}
			return nil // most likely DryRunOperation; what else is wrong is not the question
		}
	}
	return parallel(
		func() error { return refused },
		ask("ec2:DescribeInstanceTypes", func() error {
			_, err := r.api.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{DryRun: dry})
			return err
		}),
		ask("ec2:DescribeInstances", func() error {
			_, err := r.api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{DryRun: dry})
			return err
		}),
		ask("ec2:DescribeNetworkInterfaces", func() error {
			_, err := r.api.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{DryRun: dry})
			return err
		}),
		ask("ec2:DescribeSubnets", func() error { _, err := r.api.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{DryRun: dry}); return err }),
		ask("ec2:DescribeVpcs", func() error { _, err := r.api.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{DryRun: dry}); return err }),
	)
}

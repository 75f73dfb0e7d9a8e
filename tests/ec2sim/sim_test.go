// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// start runs a simulator for a test, with the real SDK's client for it. The client does not retry.
func start(t *testing.T, inv v1alpha1.Inventory) (*ec2sim.Server, *ec2.Client) {
	t.Helper()
	server, err := ec2sim.New(inv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server, ec2.New(ec2.Options{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(server.URL()),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", ""),
		Retryer:      aws.NopRetryer{},
	})
}

// code of the error that EC2 gave; empty for none.
func code(t *testing.T, err error) (code, message string) {
	t.Helper()
	if err == nil {
		return "", ""
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("not an error of EC2: %v", err)
	}
	return api.ErrorCode(), api.ErrorMessage()
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// small is a VPC with a /27 and an empty /28 subnet and three nodes: an m5.large, a t2.micro (Xen) and one without IPv6.
//
// Of the /27, AWS has .0 to .3 and .31; the nodes have .10, .11 and .12, so that no /28 is free.
func small() v1alpha1.Inventory {
	node := func(i int, instanceType string) v1alpha1.Node {
		return v1alpha1.Node{
			Name: fmt.Sprintf("node%d", i), InstanceID: fmt.Sprintf("i-%d", i), InstanceType: instanceType,
			Interfaces: []v1alpha1.Interface{{
				ID: fmt.Sprintf("eni-%d", i), MACAddress: fmt.Sprintf("02:00:00:00:00:%02x", i), SubnetID: "subnet-tiny",
				PrimaryIPv4: addr(fmt.Sprintf("10.0.0.%d", 9+i)),
			}},
		}
	}
	nodes := []v1alpha1.Node{node(1, "m5.large"), node(2, "t2.micro"), node(3, "c1.medium"), node(4, "m5.large")}
	nodes[3].Interfaces[0].SubnetID = "subnet-wide"
	nodes[3].Interfaces[0].PrimaryIPv4 = addr("10.0.1.13")
	nodes[3].Interfaces[0].SecondaryIPv4 = []netip.Addr{addr("10.0.1.100")}
	nodes[3].Interfaces[0].IPv4Prefixes = []netip.Prefix{prefix("10.0.1.16/28")}
	nodes[3].Interfaces[0].PrimaryIPv6 = addr("2001:db8:0:1::13")
	return v1alpha1.Inventory{
		VPCs: []v1alpha1.VPC{{ID: "vpc-1", CIDRs: []netip.Prefix{prefix("10.0.0.0/16")}, IPv6CIDRs: []netip.Prefix{prefix("2001:db8::/56")}}},
		Subnets: []v1alpha1.Subnet{
			{ID: "subnet-tiny", VPCID: "vpc-1", Zone: "eu-central-1a", CIDR: prefix("10.0.0.0/27")},
			{ID: "subnet-wide", VPCID: "vpc-1", Zone: "eu-central-1a", CIDR: prefix("10.0.1.0/24"), IPv6CIDR: prefix("2001:db8:0:1::/64")},
		},
		Nodes: nodes,
	}
}

// interfaceOf reads an interface out of the simulator's world.
func interfaceOf(t *testing.T, server *ec2sim.Server, id string) v1alpha1.Interface {
	t.Helper()
	var out v1alpha1.Interface
	err := server.Update(func(w *ec2sim.World) error {
		out = w.Interfaces[id].Interface
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

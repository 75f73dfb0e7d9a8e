// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// surrounded is a node in subnet-1 of vpc-1, with all that surrounds it, and more.
func surrounded(t *testing.T) v1alpha1.Inventory {
	t.Helper()
	text, err := os.ReadFile("testdata/surroundings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var inv v1alpha1.Inventory
	if err := yaml.UnmarshalStrict(text, &inv); err != nil {
		t.Fatal(err)
	}
	inv.VPCs = []v1alpha1.VPC{{ID: "vpc-1"}}
	inv.Subnets = []v1alpha1.Subnet{
		{ID: "subnet-1", VPCID: "vpc-1", CIDR: netip.MustParsePrefix("10.0.1.0/24"), IPv6CIDR: netip.MustParsePrefix("2001:db8:0:1::/64")},
		{ID: "subnet-2", VPCID: "vpc-1", CIDR: netip.MustParsePrefix("10.0.2.0/24")},
	}
	inv.Nodes = []v1alpha1.Node{{Name: "n", InstanceID: "i-1", ProviderID: "aws:///eu-central-1a/i-1", InstanceType: "m5.large",
		Interfaces: []v1alpha1.Interface{{ID: "eni-1", MACAddress: "02:00:00:00:00:01", SubnetID: "subnet-1", PrimaryIPv4: netip.MustParseAddr("10.0.1.9")}}}}
	return inv
}

// lists of an inventory's verbatim items.
func lists(inv v1alpha1.Inventory) map[string][]json.RawMessage {
	return map[string][]json.RawMessage{
		"routeTables": inv.RouteTables, "securityGroups": inv.SecurityGroups, "networkAcls": inv.NetworkACLs, "natGateways": inv.NATGateways,
		"internetGateways": inv.InternetGateways, "egressOnlyInternetGateways": inv.EgressOnlyInternetGateways,
		"vpcPeeringConnections": inv.VPCPeeringConnections, "transitGatewayAttachments": inv.TransitGatewayAttachments,
		"subnetCidrReservations": inv.SubnetCIDRReservations,
	}
}

// decoded makes items comparable.
func decoded(t *testing.T, items []json.RawMessage) []any {
	t.Helper()
	var out []any
	for _, raw := range items {
		var item any
		if err := json.Unmarshal(raw, &item); err != nil {
			t.Fatal(err)
		}
		out = append(out, item)
	}
	return out
}

// TestSurroundings serves items as the AWS CLI prints them by EC2's protocol, and reads the same items again by the
// SDK: those of the nodes' VPC and subnets.
func TestSurroundings(t *testing.T) {
	want := surrounded(t)
	server := simulate(t, want)
	t.Setenv("AWS_REGION", "eu-central-1")
	for _, list := range []*[]json.RawMessage{&want.InternetGateways, &want.EgressOnlyInternetGateways, &want.VPCPeeringConnections} {
		*list = (*list)[:1] // the others are of vpc-far
	}
	want.SubnetCIDRReservations = want.SubnetCIDRReservations[:2] // the third is of a subnet without nodes

	provider := aws.New(aws.Options{})
	nodes := asKubernetes(want.Nodes)
	snap, err := provider.Snapshot(t.Context(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	server.ForgetCalls()
	got, missing, err := provider.Surroundings(t.Context(), cloud.Join(nodes, snap))
	if err != nil || len(missing) > 0 {
		t.Fatal(err, missing)
	}
	for name, items := range lists(want) {
		if diff := cmp.Diff(decoded(t, items), decoded(t, lists(got)[name])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if n := len(server.Calls()); n != 9 {
		t.Errorf("%d calls: %v", n, server.Counts())
	}
	for _, call := range server.Calls() {
		if !call.Params.Has("MaxResults") {
			t.Errorf("%s asks for no page", call.Action)
		}
	}
}

// TestSurroundingsByPages has more route tables than fit a page.
func TestSurroundingsByPages(t *testing.T) {
	inv := surrounded(t)
	inv.RouteTables = nil
	for i := range 250 {
		inv.RouteTables = append(inv.RouteTables, json.RawMessage(fmt.Sprintf(`{"RouteTableId": "rtb-%03d", "VpcId": "vpc-1"}`, i)))
	}
	server := simulate(t, inv)
	got, _, err := aws.New(aws.Options{Region: "eu-central-1"}).Surroundings(t.Context(), inv)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.RouteTables); n != 250 || server.Counts()["DescribeRouteTables"] != 3 {
		t.Errorf("%d route tables by %v", n, server.Counts())
	}
}

// TestMissingSurroundings names every permission that is missing, and reads what may be read.
func TestMissingSurroundings(t *testing.T) {
	inv := surrounded(t)
	server := simulate(t, inv)
	var actions []string
	for _, permission := range aws.SurroundingsPermissions() {
		actions = append(actions, permission[len("ec2:"):])
	}
	observe := func() (v1alpha1.Inventory, []string) {
		bare := inv
		bare.RouteTables, bare.SecurityGroups = nil, nil
		got, missing, err := aws.New(aws.Options{Region: "eu-central-1"}).Surroundings(context.Background(), bare)
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, e := range missing {
			named = append(named, e.Action[len("ec2:"):])
		}
		return got, named
	}
	server.Deny("DescribeRouteTables")
	got, named := observe()
	if len(got.RouteTables) != 0 || len(got.SecurityGroups) != 1 || !slices.Equal(named, []string{"DescribeRouteTables"}) {
		t.Errorf("%d route tables, %d groups; missing %v", len(got.RouteTables), len(got.SecurityGroups), named)
	}
	server.Deny(actions...)
	if _, named := observe(); !slices.Equal(named, actions) {
		t.Errorf("missing %v, want %v", named, actions)
	}
	server.Allow(actions...)
	server.Inject(ec2sim.Fault{Action: "DescribeNatGateways", Error: ec2sim.OptInRequired()})
	_, _, err := aws.New(aws.Options{Region: "eu-central-1"}).Surroundings(context.Background(), inv)
	if e, ok := err.(*cloud.Error); !ok || e.Reason != cloud.WrongRegion { //nolint:errorlint // it is never wrapped
		t.Errorf("any other failure: %v", err)
	}
}

// TestSharedSubnet: another account shares its subnet with the nodes'.
func TestSharedSubnet(t *testing.T) {
	inv := surrounded(t)
	inv.Subnets[0].OwnerID = "210987654321"
	simulate(t, inv)
	t.Setenv("AWS_REGION", "eu-central-1")
	subnets := observe(t, asKubernetes(inv.Nodes)).Subnets
	if got := []string{subnets[0].OwnerID, subnets[1].OwnerID}; !slices.Equal(got, []string{"210987654321", ""}) {
		t.Errorf("owners %q", got)
	}
	if free := *subnets[0].AvailableIPv4; free != 256-5-1 {
		t.Errorf("%d addresses are free", free)
	}
}

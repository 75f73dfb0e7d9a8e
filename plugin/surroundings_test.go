// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestInspectShowsSurroundings reads route tables back from what inspect prints.
func TestInspectShowsSurroundings(t *testing.T) {
	s := newStage(t)
	err := s.cloud.Update(func(w *ec2sim.World) error {
		vpc := readWalkthrough(t).VPCs[0].ID
		w.Items["DescribeRouteTables"]["rtb-1"] = ec2sim.Item{"RouteTableId": "rtb-1", "VpcId": vpc}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	printed := must(t, 0, "inspect -o yaml").stdout
	inventory, err := document.ReadInventory("printed", strings.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ RouteTableId string } //nolint:revive,staticcheck // EC2's name
	if len(inventory.RouteTables) != 1 || json.Unmarshal(inventory.RouteTables[0], &table) != nil || table.RouteTableId != "rtb-1" {
		t.Errorf("route tables %s", inventory.RouteTables)
	}
}

// TestOptionalPermissions: without what only checks read, plans are as they were, and check says what is missing.
func TestOptionalPermissions(t *testing.T) {
	s := newStage(t)
	for _, permission := range aws.SurroundingsPermissions() {
		s.cloud.Deny(strings.TrimPrefix(permission, "ec2:"))
	}
	must(t, 0, "init --no-operator --export")
	must(t, 0, "inspect")
	check := must(t, 0, "check")
	inspect := must(t, 0, "inspect -o yaml")
	for _, permission := range aws.SurroundingsPermissions() {
		contains(t, check.stdout, "permission/"+permission)
		contains(t, inspect.stderr, "permission/"+permission)
	}
}

// TestCheckAsksForRoutes: what surrounds the nodes is read live, and a route to a NAT gateway that is gone is found.
func TestCheckAsksForRoutes(t *testing.T) {
	s := newStage(t)
	vpc := readWalkthrough(t).VPCs[0].ID
	set := func(state string) {
		t.Helper()
		err := s.cloud.Update(func(w *ec2sim.World) error {
			w.Items["DescribeRouteTables"]["rtb-1"] = ec2sim.Item{"RouteTableId": "rtb-1", "VpcId": vpc,
				"Associations": []any{map[string]any{"Main": true, "RouteTableId": "rtb-1"}},
				"Routes": []any{
					map[string]any{"DestinationCidrBlock": "172.31.0.0/16", "GatewayId": "local", "State": "active"},
					map[string]any{"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": state},
					map[string]any{"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"},
				}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set("active")
	must(t, 0, "check --fail-on info")
	set("blackhole")
	found := must(t, 1, "check")
	contains(t, found.stdout, "internet-route-broken", "subnet/subnet-0c4e1f5a7b9d20001", "subnet/subnet-0c4e1f5a7b9d20002",
		"to nat-1, which is gone (blackhole)", "aws ec2 replace-route --route-table-id rtb-1")
}

// TestCheckCountsPods: how many pods a node takes is read from the cluster, and compared with its addresses.
func TestCheckCountsPods(t *testing.T) {
	s := newStage(t)
	s.empty(t)
	inventory := readWalkthrough(t)
	for i := range inventory.Nodes {
		inventory.Nodes[i].MaxPods = 110
	}
	for _, node := range controlplane.NodesOf(inventory) {
		if err := s.client.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	printed := must(t, 0, "inspect -o yaml").stdout
	contains(t, printed, "maxPods: 110")
	network := write(t, "network.yaml", `
apiVersion: underlay.dev/v1alpha1
kind: UnderlayNetwork
metadata: {name: ens5}
spec: {default: true, interfaceSelector: {deviceIndexes: [0]}}
`)
	found := must(t, 1, "check --fail-on warning --network "+network)
	contains(t, found.stdout, "more-pods-than-addresses", "on 2 of 2 nodes: master (110 pods, 16 IPv4 addresses)")
}

// TestInitLooksAround: what surrounds the nodes is told before something is applied; that it may not be read is none of
// init's business, and a failure does not keep it from its work.
func TestInitLooksAround(t *testing.T) {
	s := newStage(t)
	vpc := readWalkthrough(t).VPCs[0].ID
	err := s.cloud.Update(func(w *ec2sim.World) error {
		w.Items["DescribeRouteTables"]["rtb-1"] = ec2sim.Item{"RouteTableId": "rtb-1", "VpcId": vpc,
			"Associations": []any{map[string]any{"Main": true, "RouteTableId": "rtb-1"}},
			"Routes":       []any{map[string]any{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const line = "init --no-operator --dry-run=client"
	contains(t, must(t, 0, line).stderr, "public-subnet")
	s.cloud.Deny("DescribeRouteTables")
	if r := must(t, 0, line); strings.Contains(r.stderr, "DescribeRouteTables") || strings.Contains(r.stderr, "public-subnet") {
		t.Errorf("stderr has\n%s", r.stderr)
	}
	s.cloud.Inject(ec2sim.Fault{Action: "DescribeNatGateways", Error: ec2sim.OptInRequired()})
	contains(t, must(t, 0, line).stderr, "routes and security groups are not checked: ")
	s.cloud.ForgetCalls()
	must(t, 0, "init --no-operator --export")
	if n := s.cloud.Counts()["DescribeSecurityGroups"]; n > 0 {
		t.Errorf("an export asks %d times for security groups", n)
	}
}

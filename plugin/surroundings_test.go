// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
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

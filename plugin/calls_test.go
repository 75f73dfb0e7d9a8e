// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestCallsFor1000Nodes exports the plan of a large cluster, while EC2 throttles as AWS does.
func TestCallsFor1000Nodes(t *testing.T) {
	s := newStage(t)
	inventory := plantest.Inventory(plantest.Uniform(1000, plantest.DualStack()))
	if err := s.client.DeleteAllOf(t.Context(), &corev1.Node{}); err != nil {
		t.Fatal(err)
	}
	for _, node := range controlplane.NodesOf(inventory) {
		if err := s.client.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = s.client.DeleteAllOf(t.Context(), &corev1.Node{}) }()
	server := ec2sim.ForTest(t, inventory)
	server.Throttle()

	must(t, 0, "init --no-operator --export -o json")
	calls := server.Calls()
	if n := len(calls); n > 40 {
		t.Errorf("%d calls: %v", n, server.Counts())
	}
	for _, call := range calls {
		if call.Error != "" {
			t.Errorf("%s was answered with %s", call.Action, call.Error)
		}
	}
}

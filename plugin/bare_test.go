// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestBareMetal goes the way of who has no cloud: what agents see, the rest by hand, pools of it, and again without a
// difference.
func TestBareMetal(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes) // brings the definitions
	s.report(t, "worker1", v1alpha1.UnderlayNodeStatus{Links: []v1alpha1.NodeLink{{Name: "eth1", MACAddress: "3C:FD:FE:00:0B:01", MTU: 9000},
		{Name: "eth0", MACAddress: "3c:fd:fe:00:0b:00", MTU: 1500}}})
	seen := must(t, 0, "inspect --provider Manual -o yaml")
	golden(t, "online-inspect-manual", withoutUIDs(seen.stdout))
	contains(t, seen.stderr, "cidr and gateway of each subnet")
	contains(t, must(t, 2, "pools generate --inventory "+write(t, "raw.yaml", seen.stdout)).stderr, "no interface in", "write `ranges:")

	filled := strings.Replace(seen.stdout, "- id: eth1\n", "- id: eth1\n  cidr: 10.20.0.0/24\n  gateway: 10.20.0.254\n", 1)
	filled = strings.Replace(filled, "    subnetID: eth1\n", "    subnetID: eth1\n    ranges: [10.20.0.48/28]\n", 1)
	file := write(t, "bare.yaml", filled)
	generated := must(t, 0, "pools generate --inventory "+file).stdout
	s.kubectl(t, generated, "apply", "-f", "-")
	if got := s.names(t, underlayKind("UnderlayPool")); !slices.Contains(got, "eth1.1.v4.worker1") {
		t.Errorf("pools %v", got)
	}
	if again := must(t, 0, "pools generate --inventory "+file).stdout; again != generated {
		t.Error("differs from run to run")
	}
}

// TestGeneratedPoolsAreTaken by an API server, strictly.
func TestGeneratedPoolsAreTaken(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	out := s.kubectl(t, must(t, 0, "pools generate --inventory "+bareMetal).stdout, "apply", "--validate=strict", "-f", "-")
	if strings.Contains(out, "Warning") || strings.Count(out, "underlaypool.underlay.dev/") != 6 {
		t.Errorf("kubectl says:\n%s", out)
	}
	// The nodes are not there, which checks tell.
	contains(t, must(t, 1, "check").stdout, "pool-node-not-found", "the cluster has no node rack1-a")
}

// withoutUIDs leaves out what differs from run to run.
func withoutUIDs(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, "  uid: ") })
	return strings.Join(lines, "\n")
}

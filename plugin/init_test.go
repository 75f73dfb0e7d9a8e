// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

const initYes = "init --no-operator --yes"

// TestWalkthrough is the main job: from EC2 and an empty cluster to the walkthrough's four pools.
func TestWalkthrough(t *testing.T) {
	s := newFreshStage(t)
	golden(t, "online-inspect", must(t, 0, "inspect").stdout)
	golden(t, "online-check", must(t, 0, "check").stdout)
	must(t, 1, "plan --no-operator")

	first := must(t, 0, initYes)
	golden(t, "online-init", first.stdout)
	// No agent has told link names in this cluster, so the network is named after the device index.
	want := []string{"eni0.0.v4.master", "eni0.0.v4.worker1", "eni0.0.v6.master", "eni0.0.v6.worker1"}
	if got := s.names(t, underlayKind("UnderlayPool")); !slices.Equal(got, want) {
		t.Errorf("pools %v, want %v", got, want)
	}
	golden(t, "online-pools", must(t, 0, "pools").stdout)

	before := s.snapshot(t)
	second := must(t, 0, initYes)
	golden(t, "online-init-again", second.stdout)
	if diff := cmp.Diff(before, s.snapshot(t)); diff != "" {
		t.Errorf("the second run changed something:\n%s", diff)
	}
	must(t, 0, "plan --no-operator")
}

// TestPoolsAreOwnedByTheirNode lets the garbage collector remove a pool with its node.
func TestPoolsAreOwnedByTheirNode(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	for _, pool := range s.list(t, underlayKind("UnderlayPool")) {
		owners := pool.GetOwnerReferences()
		if len(owners) != 1 || owners[0].Kind != "Node" || !strings.HasSuffix(pool.GetName(), owners[0].Name) {
			t.Errorf("pool %s is owned by %+v, want its node alone", pool.GetName(), owners)
		}
	}
}

// TestExportEqualsInit applies the export by kubectl and compares the result with init's.
func TestExportEqualsInit(t *testing.T) {
	for _, c := range []struct{ name, flags string }{
		{"from the cloud", ""},
		{"from a file", " --inventory " + walkthrough},
		{"of two networks", " --inventory " + twoNetworks},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			must(t, 0, initYes+c.flags)
			want := s.snapshot(t)
			for _, gvk := range []string{"UnderlayPool", "UnderlayNetwork"} {
				for _, object := range s.list(t, underlayKind(gvk)) {
					if err := s.client.Delete(t.Context(), &object); err != nil {
						t.Fatal(err)
					}
				}
			}
			export := must(t, 0, "init --no-operator --export"+c.flags).stdout
			s.kubectl(t, export, "apply", "--server-side", "-f", "-", "--force-conflicts")
			if diff := cmp.Diff(want, s.snapshot(t)); diff != "" {
				t.Errorf("the export differs from what init applied (-init +export):\n%s", diff)
			}
		})
	}
}

// TestExportToNewCluster: kubectl looks up all kinds before it creates the first, so a cluster that has never seen our
// CRDs needs the export twice, as the tutorial says.
func TestExportToNewCluster(t *testing.T) {
	s := newFreshStage(t)
	export := must(t, 0, "init --no-operator --export").stdout
	if out, err := s.tryKubectl(t, export, "apply", "--server-side", "-f", "-"); err == nil {
		t.Errorf("once is enough; the tutorial says twice:\n%s", out)
	}
	s.kubectl(t, "", "wait", "--for=condition=Established", "crd", "--all")
	s.kubectl(t, export, "apply", "--server-side", "-f", "-")
	must(t, 0, "plan --no-operator")
}

// TestChangesInTheCloud follows the cloud: a prefix more, then none, then an instance that is gone.
func TestChangesInTheCloud(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	worker := readWalkthrough(t).Nodes[1].Interfaces[0]

	s.assignPrefix(t, worker.ID)
	contains(t, must(t, 1, "plan --no-operator").stdout, "~ UnderlayPool  eni0.0.v4.worker1", "spec.ranges", "1 to change, 0 to delete")
	must(t, 0, initYes)
	must(t, 0, "plan --no-operator")

	s.unassignPrefixes(t, worker.ID)
	contains(t, must(t, 1, "plan --no-operator").stdout, "- UnderlayPool  eni0.0.v4.worker1", "1 to delete")
	must(t, 0, initYes)
	must(t, 0, "plan --no-operator")

	if err := s.cloud.Update(func(w *ec2sim.World) error { w.RemoveInstance(readWalkthrough(t).Nodes[1].InstanceID); return nil }); err != nil {
		t.Fatal(err)
	}
	// Nothing was seen of the node, which says nothing about its pools.
	contains(t, must(t, 0, "plan --no-operator").stderr, "worker1")
}

// TestHeldPoolsStay: a pool with addresses in use is not removed, whatever the cloud says.
func TestHeldPoolsStay(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	setAllocated(t, s, "eni0.0.v4.worker1", 3)
	s.unassignPrefixes(t, readWalkthrough(t).Nodes[1].Interfaces[0].ID)
	must(t, 0, initYes)
	if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 4 {
		t.Errorf("pools %v, want all four: one of them holds addresses", got)
	}
	contains(t, must(t, 1, "check").stdout, "prefix-not-on-interface", "eni0.0.v4.worker1")
	must(t, 0, "check --pre")
}

// TestPoolsByHandStay, though they are of a network whose pools are derived; check tells of them.
func TestPoolsByHandStay(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(underlayKind("UnderlayPool"))
	if err := s.client.Get(t.Context(), client.ObjectKey{Name: "eni0.0.v4.master"}, pool); err != nil {
		t.Fatal(err)
	}
	mine := &unstructured.Unstructured{Object: map[string]any{"spec": pool.Object["spec"]}}
	mine.SetGroupVersionKind(underlayKind("UnderlayPool"))
	mine.SetName("mine")
	if err := unstructured.SetNestedStringSlice(mine.Object, []string{"172.31.28.200"}, "spec", "ranges"); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Create(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	must(t, 0, initYes)
	if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 5 {
		t.Errorf("pools %v, want the four planned ones and mine", got)
	}
	contains(t, must(t, 1, "check").stdout, "prefix-not-on-interface", "mine")
}

func TestDryRunWritesNothing(t *testing.T) {
	for _, mode := range []string{"client", "server"} {
		t.Run(mode, func(t *testing.T) {
			s := newStage(t)
			r := must(t, 0, "init --no-operator --dry-run="+mode)
			contains(t, r.stdout, "+ UnderlayPool")
			contains(t, r.stderr, "nothing was written")
			if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 0 {
				t.Errorf("--dry-run=%s wrote %v", mode, got)
			}
		})
	}
}

func TestWritingNeedsConsent(t *testing.T) {
	s := newStage(t)
	r := must(t, 2, "init --no-operator")
	contains(t, r.stderr, "no terminal", "--yes", "nothing was written")
	if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 0 {
		t.Errorf("without consent %v was written", got)
	}
}

// TestSpiderpool applies the export for Spiderpool to an API server with Spiderpool's own CRDs, strictly.
func TestSpiderpool(t *testing.T) {
	s := newStage(t)
	for _, crd := range controlplane.SpiderpoolCRDs() {
		s.kubectl(t, string(crd), "apply", "--server-side", "-f", "-")
	}
	for _, inventory := range []string{walkthrough, twoNetworks} {
		export := must(t, 0, "init --no-operator --for spiderpool --export --inventory "+inventory).stdout
		out := s.kubectl(t, export, "apply", "--server-side", "--validate=strict", "-f", "-")
		if strings.Contains(out, "Warning") {
			t.Errorf("kubectl warns:\n%s", out)
		}
	}
	// Not only exported: init applies them too, and a second run has nothing to do.
	must(t, 0, initYes+" --for spiderpool --force-conflicts --inventory "+walkthrough)
	golden(t, "online-spiderpool-again", must(t, 0, initYes+" --for spiderpool --inventory "+walkthrough).stdout)
}

// setAllocated writes a pool's status, as the operator does.
func setAllocated(t *testing.T, s *stage, name string, n int64) {
	t.Helper()
	pool := &unstructured.Unstructured{}
	pool.SetGroupVersionKind(underlayKind("UnderlayPool"))
	if err := s.client.Get(t.Context(), client.ObjectKey{Name: name}, pool); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(pool.Object, map[string]any{"allocated": n, "capacity": int64(16)}, "status"); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}

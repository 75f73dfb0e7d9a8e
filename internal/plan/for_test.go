// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

func readFile[T any](t *testing.T, path string) T {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := yaml.UnmarshalStrict(raw, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

func example(t *testing.T, name string) v1alpha1.Inventory {
	t.Helper()
	return readFile[v1alpha1.Inventory](t, filepath.Join("../../docs/examples", name+".yaml"))
}

// golden compares with testdata/<name>, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	goldenfile.Compare(t, filepath.Join("testdata", name), string(got), *update)
}

func asYAML(t *testing.T, objects []*unstructured.Unstructured) []byte {
	t.Helper()
	var out bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
	}
	return out.Bytes()
}

func TestExamples(t *testing.T) {
	for _, name := range []string{"walkthrough", "two-networks", "ipv6-only"} {
		t.Run(name, func(t *testing.T) {
			p, findings := For(Inputs{Inventory: example(t, name), Propose: true})
			if len(findings) > 0 {
				t.Errorf("findings: %+v", findings)
			}
			golden(t, name+".yaml", asYAML(t, p.Objects()))
		})
	}
	t.Run("given network", func(t *testing.T) {
		p, findings := For(Inputs{Inventory: example(t, "two-networks"), Propose: true,
			Networks: []v1alpha1.UnderlayNetwork{readFile[v1alpha1.UnderlayNetwork](t, "../../docs/examples/network.yaml")}})
		if len(findings) > 0 {
			t.Errorf("findings: %+v", findings)
		}
		golden(t, "given-network.yaml", asYAML(t, p.Objects()))
	})
}

// TestGrowth: what a plan allocates grows with the nodes and no faster, a few lists aside. Times would be the machine's.
func TestGrowth(t *testing.T) {
	allocated := func(nodes int) float64 {
		in := Inputs{Inventory: plantest.Inventory(plantest.Uniform(nodes, plantest.DualStack())), Propose: true}
		return testing.AllocsPerRun(1, func() { For(in) })
	}
	if few, many := allocated(300), allocated(3000); many > 10*few {
		t.Errorf("300 nodes need %.0f allocations, ten times as many need %.0f", few, many)
	}
}

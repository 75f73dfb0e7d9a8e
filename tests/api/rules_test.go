// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// ruleCase is an object that is accepted, or that is refused for a reason.
type ruleCase struct {
	name string
	// refused says that the API server must not take it; the words are in the golden file.
	refused bool
	// object is laid over the base object.
	object map[string]any
}

func ok(name string, object map[string]any) ruleCase { return ruleCase{name, false, object} }
func no(name string, object map[string]any) ruleCase { return ruleCase{name, true, object} }

func spec(fields map[string]any) map[string]any { return map[string]any{"spec": fields} }

// testRules creates each object (for a trial, so that none stays), and compares the API server's words with a golden
// file. The words in it are what users read: review them as text.
func testRules(t *testing.T, golden string, base map[string]any, cases []ruleCase, offline bool) {
	api := newClient(t)
	var words strings.Builder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := object(base, c.object)
			server := reasons(t, api.Create(t.Context(), o.DeepCopy(), client.DryRunAll))
			if c.refused != (len(server) > 0) {
				t.Errorf("refused: %t, want %t: %s", len(server) > 0, c.refused, server)
			}
			if !c.refused {
				if offline {
					expectAccepted(t, o)
				}
				return
			}
			fmt.Fprintf(&words, "%s\n", c.name)
			for _, line := range server {
				fmt.Fprintf(&words, "  server: %s\n", line)
			}
			if offline {
				for _, line := range fromFile(t, o) {
					fmt.Fprintf(&words, "  file:   %s\n", line)
				}
			}
		})
	}
	goldenfile.Compare(t, golden, words.String(), *update)
}

func expectAccepted(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	if problems := fromFile(t, o); len(problems) > 0 {
		t.Errorf("refused as a file: %s", problems)
	}
}

// fromFile reads the object as a file, and gives the problems.
func fromFile(t rapid.TB, o *unstructured.Unstructured) []string {
	t.Helper()
	raw, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	_, err = document.ReadNetworks("f", strings.NewReader(string(raw)))
	if err == nil {
		return nil
	}
	return slices.Collect(strings.Lines(strings.TrimSpace(err.Error())))
}

// testStatusRules is testRules for statuses, laid over a stored object.
func testStatusRules(t *testing.T, golden string, base map[string]any, cases []ruleCase) {
	api := newClient(t)
	stored := object(base)
	if err := api.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, api, stored) })
	var words strings.Builder
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			changed := object(stored.Object, map[string]any{"status": c.object})
			refusals := reasons(t, api.Status().Update(t.Context(), changed, client.DryRunAll))
			if c.refused != (len(refusals) > 0) {
				t.Errorf("refused: %t, want %t: %s", len(refusals) > 0, c.refused, refusals)
			}
			if c.refused {
				fmt.Fprintf(&words, "%s\n", c.name)
			}
			for _, line := range refusals {
				fmt.Fprintf(&words, "  server: %s\n", line)
			}
		})
	}
	goldenfile.Compare(t, golden, words.String(), *update)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// apply is server-side apply as one field manager.
func apply(t *testing.T, api client.Client, manager string, fields ...m) error {
	t.Helper()
	return api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object(fields...)), client.FieldOwner(manager))
}

func specOf(t *testing.T, api client.Client, o m) map[string]any {
	t.Helper()
	stored := object(o)
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(stored), stored); err != nil {
		t.Fatal(err)
	}
	spec, _, err := unstructured.NestedMap(stored.Object, "spec")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestAtomicLists: the ranges of a pool belong to one manager as a whole, so that another's are a conflict and not a
// mixture.
func TestAtomicLists(t *testing.T) {
	api := newClient(t)
	base := merge(pool(), m{"metadata": m{"name": "atomic"}})
	if err := apply(t, api, "underlay", base); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, api, object(base)) })

	for _, list := range []string{"ranges", "exclude", "draining"} {
		t.Run(list, func(t *testing.T) {
			first := merge(base, spec(m{list: []string{"172.31.32.176/28", "172.31.32.192/28"}}))
			if err := apply(t, api, "underlay", first); err != nil {
				t.Fatal(err)
			}
			err := apply(t, api, "somebody", base, spec(m{list: []string{"172.31.32.208/28"}}))
			if words := reasons(t, err); len(words) != 1 || words[0] != ".spec."+list+`: conflict with "underlay"` {
				t.Errorf("another manager's list: %q, want a conflict over .spec.%s", words, list)
			}
			if err := apply(t, api, "underlay", base, spec(m{list: []string{"172.31.32.208/28"}})); err != nil {
				t.Fatal(err)
			}
			if got := specOf(t, api, base)[list]; !cmp.Equal(got, []any{"172.31.32.208/28"}) {
				t.Errorf("stored: %v, want the new list alone", got)
			}
		})
	}
}

// TestSetLists: the entries of a network's sets belong to whoever wrote them.
func TestSetLists(t *testing.T) {
	api := newClient(t)
	base := merge(network(), m{"metadata": m{"name": "sets"}})
	if err := apply(t, api, "one", base, spec(m{"allowedNamespaces": []string{"a", "b"}})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, api, object(base)) })
	if err := apply(t, api, "two", base, spec(m{"allowedNamespaces": []string{"b", "c"}})); err != nil {
		t.Fatal(err)
	}
	if got := specOf(t, api, base)["allowedNamespaces"]; !cmp.Equal(got, []any{"a", "b", "c"}) {
		t.Errorf("two managers' sets make %v, want both together", got)
	}
	if err := apply(t, api, "one", base); err != nil {
		t.Fatal(err)
	}
	if got := specOf(t, api, base)["allowedNamespaces"]; !cmp.Equal(got, []any{"b", "c"}) {
		t.Errorf("after one manager left: %v, want what the other wrote", got)
	}
}

// TestMapLists: conditions of different types can have different writers.
func TestMapLists(t *testing.T) {
	api := newClient(t)
	base := merge(pool(), m{"metadata": m{"name": "maps"}})
	if err := apply(t, api, "underlay", base); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, api, object(base)) })
	status := func(manager, condition string) {
		t.Helper()
		o := object(m{"apiVersion": base["apiVersion"], "kind": base["kind"], "metadata": base["metadata"], "status": m{"conditions": []m{
			{"type": condition, "status": "True", "reason": "Test", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"},
		}}})
		if err := api.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(manager)); err != nil {
			t.Fatal(err)
		}
	}
	status("one", "Valid")
	status("two", "InSync")
	stored := object(base)
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(stored), stored); err != nil {
		t.Fatal(err)
	}
	conditions, _, err := unstructured.NestedSlice(stored.Object, "status", "conditions")
	if err != nil || len(conditions) != 2 {
		t.Errorf("two managers' conditions make %v (%v), want one of each", conditions, err)
	}
}

// TestApplyOwnsWhatWasWritten: defaults belong to nobody, so that a field which the user takes out of a file goes back
// to its default and another manager may set what the file leaves open.
func TestApplyOwnsWhatWasWritten(t *testing.T) {
	api := newClient(t)
	base := merge(network(), m{"metadata": m{"name": "owned"}})
	if err := apply(t, api, "user", base, spec(m{"cooldownSeconds": 60})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, api, object(base)) })
	if err := apply(t, api, "other", base, spec(m{"requestedIPs": "Allow"})); err != nil {
		t.Errorf("another manager sets what the user left open: %v", err)
	}
	if err := apply(t, api, "user", base); err != nil {
		t.Fatal(err)
	}
	got := specOf(t, api, base)
	if got["cooldownSeconds"] != int64(30) || got["requestedIPs"] != "Allow" {
		t.Errorf("cooldownSeconds %v, requestedIPs %v; want the default 30 and what the other manager set", got["cooldownSeconds"], got["requestedIPs"])
	}
}

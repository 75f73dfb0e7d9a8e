// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

func TestCRDs(t *testing.T) {
	crds, err := manifests.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, crd := range crds {
		names = append(names, crd.GetName())
		if crd.GetKind() != "CustomResourceDefinition" {
			t.Errorf("%s is a %s", crd.GetName(), crd.GetKind())
		}
	}
	want := []string{"underlaynetworks.underlay.dev", "underlaynodes.underlay.dev", "underlaypools.underlay.dev"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
	crds[0].SetName("changed")
	again, err := manifests.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	if again[0].GetName() != want[0] {
		t.Error("a change to an object that CRDs gave shows in the next call")
	}
}

func TestCRD(t *testing.T) {
	crd, err := manifests.CRD("underlaypools")
	if err != nil {
		t.Fatal(err)
	}
	if got := crd.GetName(); got != "underlaypools.underlay.dev" {
		t.Errorf("got %s", got)
	}
	if _, err := manifests.CRD("pods"); err == nil {
		t.Error("there is a CRD for pods")
	}
}

// TestInventorySchema holds the schema to what makes it strict: every object either lists its fields, and allows no
// other, or is free (what EC2 prints), or maps names to values.
func TestInventorySchema(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(manifests.InventorySchema(), &root); err != nil {
		t.Fatal(err)
	}
	closed, free := 0, 0
	walk(root, "", func(path string, schema map[string]any) {
		switch schema["additionalProperties"] {
		case false:
			closed++
		case true:
			free++
		}
		if schema["type"] == "object" && schema["additionalProperties"] == nil {
			t.Errorf("%s: an object that neither allows nor refuses other fields", path)
		}
		if fields, ok := schema["properties"].(map[string]any); ok {
			for name, field := range fields {
				if field.(map[string]any)["description"] == nil { //nolint:errcheck // a schema is an object
					t.Errorf("%s.%s has no description", path, name)
				}
			}
			if required, ok := schema["required"].([]any); ok && !slices.IsSortedFunc(required, compareAny) {
				t.Errorf("%s: required is not sorted: %v", path, required)
			}
		}
	})
	// Inventory, VPC, Subnet, Node, its host, Interface, InstanceType; and nine lists of what EC2 prints.
	if closed != 7 || free != 9 {
		t.Errorf("%d closed and %d free objects, want 7 and 9", closed, free)
	}
}

func compareAny(a, b any) int { return strings.Compare(a.(string), b.(string)) } //nolint:errcheck // names

func walk(schema map[string]any, path string, visit func(string, map[string]any)) {
	visit(path, schema)
	if fields, ok := schema["properties"].(map[string]any); ok {
		for name, field := range fields {
			if below, ok := field.(map[string]any); ok {
				walk(below, path+"."+name, visit)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if below, ok := schema[key].(map[string]any); ok {
			walk(below, path+"[]", visit)
		}
	}
}

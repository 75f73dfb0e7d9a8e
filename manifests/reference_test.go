// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/underlay-dev/kubectl-underlay/manifests"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// update rewrites the reference: go test ./manifests -update
var update = flag.Bool("update", false, "rewrite docs/reference/api.md")

// TestReference keeps docs/reference/api.md equal to the schemas.
func TestReference(t *testing.T) {
	goldenfile.Compare(t, "../docs/reference/api.md", reference(t), *update)
}

func reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# API\n\nGenerated from the schemas. Fields marked * are required.\n")
	crds, err := manifests.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, crd := range crds {
		describeCRD(t, &b, crd)
	}
	var inventory schema
	if err := json.Unmarshal(manifests.InventorySchema(), &inventory); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "\n## Inventory\n\n%s\n\n", oneLine(inventory.Description))
	b.WriteString("A file, not a resource; editors can check it with `manifests/schema/inventory.json`.\n\n")
	table(&b, inventory, "apiVersion", "kind")
	return b.String()
}

func describeCRD(t *testing.T, b *strings.Builder, crd *unstructured.Unstructured) {
	t.Helper()
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	short, _, _ := unstructured.NestedStringSlice(crd.Object, "spec", "names", "shortNames")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	version, _ := versions[0].(map[string]any)
	raw, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
	text, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\nCluster-scoped; short name `%s`, category `underlay`.\n\n", kind, oneLine(s.Description), strings.Join(short, "`, `"))
	table(b, s, "apiVersion", "kind", "metadata")
	if rules := s.rules(); len(rules) > 0 {
		fmt.Fprintf(b, "\nRules beyond types:\n\n")
		for _, rule := range rules {
			fmt.Fprintf(b, "- %s\n", rule)
		}
	}
}

// schema is the part of a JSON schema that the reference shows.
type schema struct {
	Description string            `json:"description"`
	Type        string            `json:"type"`
	Enum        []any             `json:"enum"`
	Default     any               `json:"default"`
	Minimum     *float64          `json:"minimum"`
	Maximum     *float64          `json:"maximum"`
	MaxItems    *int              `json:"maxItems"`
	Required    []string          `json:"required"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
	Validations []struct {
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

func table(b *strings.Builder, s schema, skip ...string) {
	b.WriteString("| field | type | |\n|---|---|---|\n")
	rows(b, "", s, skip)
}

func rows(b *strings.Builder, prefix string, s schema, skip []string) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if slices.Contains(skip, name) {
			continue
		}
		field, mark := s.Properties[name], ""
		if slices.Contains(s.Required, name) {
			mark = "*"
		}
		fmt.Fprintf(b, "| `%s%s`%s | %s | %s |\n", prefix, name, mark, field.typeName(), field.text())
		switch {
		case field.Type == "array" && field.Items != nil && prefix+name != "status.conditions":
			rows(b, prefix+name+"[].", *field.Items, nil)
		case field.Type == "object":
			rows(b, prefix+name+".", field, nil)
		}
	}
}

func (s schema) typeName() string {
	if s.Type == "array" && s.Items != nil {
		return "list of " + s.Items.typeName()
	}
	return cmp.Or(s.Type, "any")
}

// text says what a field is for and what it may be.
func (s schema) text() string {
	parts := []string{oneLine(s.Description)}
	values := s.Enum
	if s.Items != nil {
		values = append(values, s.Items.Enum...)
	}
	if len(values) > 0 {
		parts = append(parts, "One of "+list(values)+".")
	}
	if s.Minimum != nil && s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("From %.0f to %.0f.", *s.Minimum, *s.Maximum))
	}
	if s.MaxItems != nil {
		parts = append(parts, fmt.Sprintf("At most %d.", *s.MaxItems))
	}
	if s.Default != nil {
		if text, err := json.Marshal(s.Default); err == nil {
			parts = append(parts, "Default `"+string(text)+"`.")
		}
	}
	return strings.ReplaceAll(strings.Join(parts, " "), "|", "\\|")
}

func list(values []any) string {
	var out []string
	for _, v := range values {
		out = append(out, fmt.Sprintf("`%v`", v))
	}
	return strings.Join(out, ", ")
}

// rules gathers the messages of all CEL rules.
func (s schema) rules() []string {
	found := map[string]bool{}
	var walk func(schema)
	walk = func(s schema) {
		for _, v := range s.Validations {
			found[v.Message] = true
		}
		for _, p := range s.Properties {
			walk(p)
		}
		if s.Items != nil {
			walk(*s.Items)
		}
	}
	walk(s)
	return slices.Sorted(maps.Keys(found))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

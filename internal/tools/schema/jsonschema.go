// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// closeObjects refuses unknown fields in every struct below schema, and turns Kubernetes' mark of a free object into
// JSON Schema's. How lists merge says nothing in a file; any other Kubernetes extension is an error.
func closeObjects(schema map[string]any) error {
	if free, ok := schema["x-kubernetes-preserve-unknown-fields"]; ok && free == true {
		delete(schema, "x-kubernetes-preserve-unknown-fields")
		schema["type"] = "object"
		schema["additionalProperties"] = true
	}
	delete(schema, "x-kubernetes-list-type") // of types that a custom resource has, too
	for key := range schema {
		if strings.HasPrefix(key, "x-") || key == "$ref" || key == "allOf" || key == "oneOf" || key == "not" {
			return fmt.Errorf("%s has no meaning in the schema of a file", key)
		}
	}
	if fields, ok := schema["properties"].(map[string]any); ok {
		schema["additionalProperties"] = false
		for name, field := range fields {
			if !slices.Contains(required(schema), any(name)) {
				allowEmpty(field.(map[string]any))
			}
			if err := closeObjects(field.(map[string]any)); err != nil {
				return fmt.Errorf("field %s: %w", name, err)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if below, ok := schema[key].(map[string]any); ok {
			if err := closeObjects(below); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	return nil
}

// nameKind makes apiVersion and kind required, with the one value that each may have.
func nameKind(root map[string]any, kind, apiVersion string) error {
	fields, ok := root["properties"].(map[string]any)
	if !ok {
		return fmt.Errorf("%s has no fields", kind)
	}
	fields["apiVersion"] = map[string]any{
		"type": "string", "enum": []any{apiVersion}, "description": "apiVersion of the format.",
	}
	fields["kind"] = map[string]any{
		"type": "string", "enum": []any{kind}, "description": "kind of the document.",
	}
	names := append(required(root), "apiVersion", "kind")
	slices.SortFunc(names, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	root["required"] = slices.Compact(names)
	return nil
}

func required(schema map[string]any) []any {
	names, _ := schema["required"].([]any)
	return names
}

// allowEmpty lets an optional field with a format, such as an address, also be "": that there is none.
func allowEmpty(field map[string]any) {
	format, ok := field["format"]
	if !ok || field["type"] != "string" {
		return
	}
	delete(field, "format")
	field["anyOf"] = []any{map[string]any{"format": format}, map[string]any{"enum": []any{""}}}
}

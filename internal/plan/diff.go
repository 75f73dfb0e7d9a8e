// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Diff says what leads from the objects before to those after, in the order of Objects, deletions last. Both are taken
// as a cluster would store them: who applies finds out what that is by a dry run, since only the API server knows its
// defaults and other owners' fields. Status and what the server alone writes do not count; absent, null and empty are
// one.
func Diff(before, after []*unstructured.Unstructured) []Change {
	old := make(map[objectKey]*unstructured.Unstructured, len(before))
	for _, o := range before {
		old[keyOf(o)] = o
	}
	wanted := make(map[objectKey]bool, len(after))
	changes := make([]Change, 0, len(after))
	for _, o := range after {
		k := keyOf(o)
		if wanted[k] {
			continue
		}
		wanted[k] = true
		c := k.change(Create)
		if was, exists := old[k]; exists {
			c.Action = Unchanged
			if c.Fields = fieldChanges(was, o); len(c.Fields) > 0 {
				c.Action = Update
			}
		}
		changes = append(changes, c)
	}
	for k := range old {
		if !wanted[k] {
			changes = append(changes, k.change(Delete))
		}
	}
	slices.SortFunc(changes, compareChanges)
	return changes
}

func compareChanges(a, b Change) int {
	deletion := func(c Change) int {
		if c.Action == Delete {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(deletion(a), deletion(b)), cmp.Compare(kindRank(a.Kind), kindRank(b.Kind)),
		cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Name, b.Name))
}

type objectKey struct{ apiVersion, kind, namespace, name string }

func keyOf(o *unstructured.Unstructured) objectKey {
	return objectKey{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}
}

func (k objectKey) change(action Action) Change {
	return Change{Action: action, APIVersion: k.apiVersion, Kind: k.kind, Namespace: k.namespace, Name: k.name}
}

// fieldChanges compares two versions of one object.
func fieldChanges(before, after *unstructured.Unstructured) []FieldChange {
	var c comparison
	for _, key := range keysOf(before.Object, after.Object) {
		switch key {
		case "apiVersion", "kind", "status":
		case "metadata":
			c.compare(key, userMetadata(before), userMetadata(after))
		default:
			c.compare(key, before.Object[key], after.Object[key])
		}
	}
	slices.SortFunc(c.changes, func(a, b FieldChange) int { return cmp.Compare(a.Path, b.Path) })
	return c.changes
}

// userMetadata is the metadata without what the API server alone writes.
func userMetadata(o *unstructured.Unstructured) map[string]any {
	metadata, _ := o.Object["metadata"].(map[string]any)
	out := make(map[string]any, len(metadata))
	for key, value := range metadata {
		switch key {
		case "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink":
		default:
			out[key] = value
		}
	}
	return out
}

// comparison walks two trees of fields; lists are leaves.
type comparison struct {
	changes []FieldChange
}

func (c *comparison) compare(path string, old, wanted any) {
	oldFields, oldIsMap := old.(map[string]any)
	newFields, newIsMap := wanted.(map[string]any)
	switch {
	case (oldIsMap || empty(old)) && (newIsMap || empty(wanted)):
		for _, key := range keysOf(oldFields, newFields) {
			if !reflect.DeepEqual(oldFields[key], newFields[key]) { // most are, and need no path
				c.compare(join(path, key), oldFields[key], newFields[key])
			}
		}
	case encodedValue(old) != encodedValue(wanted): // the same number may have two Go types
		c.changes = append(c.changes, FieldChange{Path: path, Old: encodedValue(old), New: encodedValue(wanted)})
	}
}

func keysOf(a, b map[string]any) []string {
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	return keys
}

// empty: absent, null, or a list or map without elements.
func empty(value any) bool {
	v := reflect.ValueOf(value)
	return !v.IsValid() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// encodedValue is compact JSON, or nothing for what is empty.
func encodedValue(value any) string {
	if empty(value) {
		return ""
	}
	raw, _ := json.Marshal(value) // of maps, lists, strings, numbers and booleans: it cannot fail
	return string(raw)
}

// join appends a key to a path; a key that is no plain word stands in brackets.
func join(path, key string) string {
	if strings.ContainsAny(key, "./[]") {
		return path + "[" + key + "]"
	}
	return path + "." + key
}

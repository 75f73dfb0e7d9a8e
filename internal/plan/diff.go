// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Diff says what leads from the objects before to those after, in the order of Objects, deletions last. It sees objects
// as server-side apply does: status and what the server manages do not count, nor do labels, annotations and owners
// that only before has, since others put them there. A network's defaults count as written.
//
// A field of another project's kind that only before has does not count either: it may be a default of a schema that
// is not ours.
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
	ours := strings.HasPrefix(after.GetAPIVersion(), v1alpha1.Group+"/")
	oldFields, newFields := fieldsOf(before), fieldsOf(after)
	var out []FieldChange
	for path, value := range newFields {
		if was := oldFields[path]; was != value {
			out = append(out, FieldChange{Path: path, Old: was, New: value})
		}
	}
	for path, was := range oldFields {
		if _, still := newFields[path]; !still && ours && !strings.HasPrefix(path, "metadata.") {
			out = append(out, FieldChange{Path: path, Old: was})
		}
	}
	slices.SortFunc(out, func(a, b FieldChange) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// fieldsOf flattens an object to its leaves, lists being leaves, as path to compact JSON. Empty values are absent.
func fieldsOf(o *unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	for key, value := range withDefaults(o) {
		switch key {
		case "apiVersion", "kind", "status":
		case "metadata":
			metadata, _ := value.(map[string]any)
			flatten(out, "metadata.labels", metadata["labels"])
			flatten(out, "metadata.annotations", metadata["annotations"])
			flattenOwners(out, metadata["ownerReferences"])
		default:
			flatten(out, key, value)
		}
	}
	return out
}

func flatten(out map[string]string, path string, value any) {
	if fields, ok := value.(map[string]any); ok {
		for key, v := range fields {
			flatten(out, join(path, key), v)
		}
		return
	}
	if v := reflect.ValueOf(value); !v.IsValid() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return
	}
	out[path] = compact(value)
}

// flattenOwners gives each owner its own path: other controllers may add theirs.
func flattenOwners(out map[string]string, value any) {
	owners, _ := value.([]any)
	for _, o := range owners {
		fields, _ := o.(map[string]any)
		uid, _ := fields["uid"].(string)
		out[join("metadata.ownerReferences", uid)] = compact(o)
	}
}

// join appends a key to a path; a key that is no plain word stands in brackets.
func join(path, key string) string {
	if strings.ContainsAny(key, "./[]") {
		return path + "[" + key + "]"
	}
	return path + "." + key
}

func compact(value any) string {
	raw, _ := json.Marshal(value) // of maps, lists, strings, numbers and booleans: it cannot fail
	return string(raw)
}

// withDefaults is the object's content; of a network, with the values that a cluster would give to absent fields.
func withDefaults(o *unstructured.Unstructured) map[string]any {
	if o.GetKind() != "UnderlayNetwork" || !strings.HasPrefix(o.GetAPIVersion(), v1alpha1.Group+"/") {
		return o.Object
	}
	var n v1alpha1.UnderlayNetwork
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &n); err != nil {
		return o.Object // what is no network is compared as it is
	}
	spec := n.Effective()
	filled, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&spec)
	if err != nil {
		return o.Object
	}
	content := maps.Clone(o.Object)
	content["spec"] = filled
	return content
}

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
	old, wanted := withDefaults(before), withDefaults(after)
	oldMeta, _ := old["metadata"].(map[string]any)
	newMeta, _ := wanted["metadata"].(map[string]any)

	others := comparison{additive: true}
	others.compare("metadata.labels", oldMeta["labels"], newMeta["labels"])
	others.compare("metadata.annotations", oldMeta["annotations"], newMeta["annotations"])
	others.compare("metadata.ownerReferences", byUID(oldMeta["ownerReferences"]), byUID(newMeta["ownerReferences"]))

	own := comparison{additive: !strings.HasPrefix(after.GetAPIVersion(), v1alpha1.Group+"/")}
	for _, key := range keysOf(old, wanted) {
		if key != "apiVersion" && key != "kind" && key != "metadata" && key != "status" {
			own.compare(key, old[key], wanted[key])
		}
	}
	out := slices.Concat(others.changes, own.changes)
	slices.SortFunc(out, func(a, b FieldChange) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// comparison walks two trees of fields; lists are leaves.
type comparison struct {
	// additive: what only the old tree has does not count.
	additive bool
	changes  []FieldChange
}

func (c *comparison) compare(path string, old, wanted any) {
	if empty(wanted) && (c.additive || empty(old)) {
		return
	}
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

// byUID gives each owner its own path: other controllers may add theirs.
func byUID(value any) map[string]any {
	owners, _ := value.([]any)
	out := make(map[string]any, len(owners))
	for _, o := range owners {
		fields, _ := o.(map[string]any)
		uid, _ := fields["uid"].(string)
		out[uid] = o
	}
	return out
}

// join appends a key to a path; a key that is no plain word stands in brackets.
func join(path, key string) string {
	if strings.ContainsAny(key, "./[]") {
		return path + "[" + key + "]"
	}
	return path + "." + key
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

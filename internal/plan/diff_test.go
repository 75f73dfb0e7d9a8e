// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// objects reads a stream of YAML documents.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	for doc := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		raw, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := o.UnmarshalJSON(raw); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

func TestDiff(t *testing.T) {
	const pool = "apiVersion: underlay.dev/v1alpha1\nkind: UnderlayPool\nmetadata: {name: p}\nspec: "
	tests := []struct {
		name, before, after string
		want                []FieldChange
	}{
		{name: "equal", before: pool + "{gateway: a}", after: pool + "{gateway: a}"},
		{
			name: "a field, a list and a number", before: pool + "{gateway: a, ranges: [x, z], interface: {deviceIndex: 1}}",
			after: pool + "{gateway: b, ranges: [x], interface: {deviceIndex: 2}}",
			want:  []FieldChange{{"spec.gateway", `"a"`, `"b"`}, {"spec.interface.deviceIndex", "1", "2"}, {"spec.ranges", `["x","z"]`, `["x"]`}},
		},
		{
			name: "fields that come and go", before: pool + "{exclude: [x], interface: {id: a}}", after: pool + "{draining: [z], ranges: []}",
			want: []FieldChange{{"spec.draining", "", `["z"]`}, {"spec.exclude", `["x"]`, ""}, {"spec.interface.id", `"a"`, ""}},
		},
		{name: "absent, null and empty are one", before: pool + "{exclude: [], interface: {}}", after: pool + "{ranges: null}"},
		{
			name: "what the server alone writes",
			before: "apiVersion: underlay.dev/v1alpha1\nkind: UnderlayPool\nmetadata: {name: p, uid: u, resourceVersion: '7', generation: 2, " +
				"creationTimestamp: '2026-01-01T00:00:00Z', managedFields: [{manager: m}], selfLink: s}\nspec: {}\nstatus: {capacity: 16}",
			after: "apiVersion: underlay.dev/v1alpha1\nkind: UnderlayPool\nmetadata: {name: p, labels: {}, ownerReferences: []}\nstatus: {allocated: 1}",
		},
		{
			name:   "labels, annotations, owners and finalizers",
			before: "apiVersion: underlay.dev/v1alpha1\nkind: UnderlayPool\nmetadata: {name: p, annotations: {a: b}, labels: {app.kubernetes.io/name: x}}",
			after: "apiVersion: underlay.dev/v1alpha1\nkind: UnderlayPool\nmetadata: {name: p, finalizers: [f], labels: {app.kubernetes.io/name: z}, " +
				"ownerReferences: [{name: o, uid: '1'}]}",
			want: []FieldChange{{"metadata.annotations.a", `"b"`, ""}, {"metadata.finalizers", "", `["f"]`},
				{"metadata.labels[app.kubernetes.io/name]", `"x"`, `"z"`}, {"metadata.ownerReferences", "", `[{"name":"o","uid":"1"}]`}},
		},
		{
			name:   "numbers of two Go types, and a scalar that becomes a map",
			before: pool + "{interface: {deviceIndex: 1}, gateway: a}", after: pool + "{interface: {deviceIndex: 1.0}, gateway: {a: b}}",
			want: []FieldChange{{"spec.gateway", `"a"`, `{"a":"b"}`}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changes := Diff(objects(t, tt.before), objects(t, tt.after))
			want := Update
			if tt.want == nil {
				want = Unchanged
			}
			if len(changes) != 1 || changes[0].Action != want {
				t.Fatalf("changes: %+v", changes)
			}
			if d := cmp.Diff(tt.want, changes[0].Fields); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDiffOrder(t *testing.T) {
	object := func(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{}
		o.SetAPIVersion(apiVersion)
		o.SetKind(kind)
		o.SetNamespace(namespace)
		o.SetName(name)
		return o
	}
	const ours, multus = "underlay.dev/v1alpha1", "k8s.cni.cncf.io/v1"
	before := []*unstructured.Unstructured{object(ours, "UnderlayPool", "", "old"), object(ours, "UnderlayNetwork", "", "gone"),
		object(ours, "UnderlayPool", "", "b"), object(ours, "UnderlayPool", "", "elder")}
	after := []*unstructured.Unstructured{object(multus, "NetworkAttachmentDefinition", "x", "a"), object(multus, "NetworkAttachmentDefinition", "a", "z"),
		object(ours, "UnderlayPool", "", "b"), object(ours, "UnderlayPool", "", "a"), object(ours, "UnderlayNetwork", "", "n")}
	var got []string
	for _, c := range Diff(before, after) {
		got = append(got, string(c.Action)+" "+c.Kind+" "+c.Namespace+"/"+c.Name)
	}
	want := []string{"create UnderlayNetwork /n", "create UnderlayPool /a", "unchanged UnderlayPool /b",
		"create NetworkAttachmentDefinition a/z", "create NetworkAttachmentDefinition x/a",
		"delete UnderlayNetwork /gone", "delete UnderlayPool /elder", "delete UnderlayPool /old"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDiffOfEqualsIsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := For(inputs().Draw(t, "inputs"))
		for _, c := range Diff(p.Objects(), stored(t, p.Objects())) {
			if c.Action != Unchanged || len(c.Fields) > 0 {
				t.Errorf("%+v", c)
			}
		}
	})
}

// stored is what a client reads back: numbers are other Go types, and the server has added its own.
func stored(t *rapid.T, in []*unstructured.Unstructured) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range in {
		var content map[string]any
		if err := json.Unmarshal([]byte(key(t, o)), &content); err != nil {
			t.Fatal(err)
		}
		back := &unstructured.Unstructured{Object: content}
		back.SetUID("uid")
		back.SetResourceVersion("1")
		out = append(out, back)
	}
	return out
}

// TestDiffLeadsFromBeforeToAfter applies the changes to what is before, and gets what is after.
func TestDiffLeadsFromBeforeToAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, _ := For(inputs().Draw(t, "before"))
		after, _ := For(inputs().Draw(t, "after"))
		changes := Diff(before.Objects(), after.Objects())
		got := apply(t, before.Objects(), changes, after.Objects())
		for _, c := range Diff(got, after.Objects()) {
			if c.Action != Unchanged {
				t.Errorf("still %+v", c)
			}
		}
	})
}

func apply(t *rapid.T, before []*unstructured.Unstructured, changes []Change, after []*unstructured.Unstructured) []*unstructured.Unstructured {
	find := func(in []*unstructured.Unstructured, c Change) *unstructured.Unstructured {
		i := slices.IndexFunc(in, func(o *unstructured.Unstructured) bool {
			return o.GetKind() == c.Kind && o.GetNamespace() == c.Namespace && o.GetName() == c.Name
		})
		if i < 0 {
			t.Fatalf("no object for %+v", c)
		}
		return in[i]
	}
	var out []*unstructured.Unstructured
	for _, c := range changes {
		switch c.Action {
		case Create:
			out = append(out, find(after, c))
		case Unchanged:
			out = append(out, find(before, c))
		case Update:
			o := find(before, c).DeepCopy()
			for _, f := range c.Fields {
				path := strings.Split(f.Path, ".")
				if f.New == "" {
					unstructured.RemoveNestedField(o.Object, path...)
					continue
				}
				var value any
				if err := json.Unmarshal([]byte(f.New), &value); err != nil {
					t.Fatal(err)
				}
				if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, o)
		}
	}
	return out
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// TestMetadataSchema: the schema of metadata has the fields of the Go type.
func TestMetadataSchema(t *testing.T) {
	var s schema
	if err := json.Unmarshal([]byte(metadataSchema), &s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(jsonFields(reflect.TypeFor[metav1.ObjectMeta]()), s.names()); diff != "" {
		t.Errorf("fields of metadata (-Go +schema):\n%s", diff)
	}
	owner := s.Properties["ownerReferences"].Items
	if diff := cmp.Diff(jsonFields(reflect.TypeFor[metav1.OwnerReference]()), owner.names()); diff != "" {
		t.Errorf("fields of ownerReferences (-Go +schema):\n%s", diff)
	}
}

func jsonFields(of reflect.Type) []string {
	var names []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestSchemas reads the embedded schemas, every keyword and every pattern of them.
func TestSchemas(t *testing.T) {
	var inventory schema
	if err := json.Unmarshal(manifests.InventorySchema(), &inventory); err != nil {
		t.Fatal(err)
	}
	networks, err := readCRDRules("underlaynetworks")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*schema{&inventory, networks.schema} {
		visit(s, func(s *schema) {
			if _, err := regexp.Compile(s.Pattern); err != nil {
				t.Error(err)
			}
			if !slices.Contains([]string{"", "int32", "int64", "ip", "ipv4", "ipv6", "ipv4-cidr", "ipv6-cidr", "mac", "ip-range", "date-time"}, s.Format) {
				t.Errorf("format %s is not checked", s.Format)
			}
			for _, name := range s.Required {
				if s.Properties[name] == nil {
					t.Errorf("required field %s has no schema", name)
				}
			}
		})
	}
}

func visit(s *schema, see func(*schema)) {
	if s == nil {
		return
	}
	see(s)
	visit(s.Items, see)
	visit(s.Values, see)
	for _, field := range s.Properties {
		visit(field, see)
	}
}

// TestUnknownKeywords: a rule that this package cannot check is an error, and is never skipped.
func TestUnknownKeywords(t *testing.T) {
	for _, text := range []string{
		`{"type": "integer", "multipleOf": 2}`,
		`{"properties": {"a": {"oneOf": []}}}`,
		`{"items": {"not": {}}}`,
		`{"additionalProperties": {"allOf": []}}`,
		`{"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}`,
		`{"enum": [1]}`,
	} {
		var s schema
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

func TestNearest(t *testing.T) {
	allowed := []string{"deviceIndex", "id", "macAddress", "mtu", "name", "networkCardIndex", "subnetID"}
	for word, want := range map[string]string{
		"deviceIdx": "deviceIndex", "DeviceIndex": "deviceIndex", "mac": "macAddress", "subnet": "subnetID", "anme": "name",
		"ID": "id", "mtus": "mtu", "zone": "", "x": "", "": "", strings.Repeat("name", 1000): "",
	} {
		if got := nearest(word, allowed); got != want {
			t.Errorf("nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

// TestPlaces: a column counts characters, not bytes, in JSON as in YAML.
func TestPlaces(t *testing.T) {
	const text = "{\"ä\": \"öü\",\t\"b\": [1,\r\n  {\"c\": \"\\u00e4\\n\", \"d\" : null}]}"
	want := map[string]place{"ä": {1, 7}, "b": {1, 18}, "b[0]": {1, 19}, "b[1]": {2, 3}, "b[1].c": {2, 9}, "b[1].d": {2, 27}}
	for name, read := range map[string]func([]byte, *report) ([]*value, bool){"JSON": parseJSON, "YAML": parseYAML} {
		docs, ok := read([]byte(text), &report{})
		if !ok || len(docs) != 1 {
			t.Fatalf("%s: %d documents, sound: %t", name, len(docs), ok)
		}
		for path, at := range want {
			v := docs[0].find(path)
			if path == "b[1].d" { // null, which is as good as absent
				v = docs[0].find("b[1]").fields[1].value
			}
			if v.place != at {
				t.Errorf("%s: %s is at %v, want %v", name, path, v.place, at)
			}
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestFileAndServerAgree draws networks with sound and unsound values in any field: what is accepted as a file must be
// accepted by the API server, and the other way round.
func TestFileAndServerAgree(t *testing.T) {
	api := newClient(t)
	accepted, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		o := drawNetwork().Draw(rt, "network")
		server := api.Create(context.WithoutCancel(t.Context()), o.DeepCopy(), client.DryRunAll)
		file := fromFile(rt, o)
		if (server == nil) != (len(file) == 0) {
			raw, err := yaml.Marshal(o.Object)
			rt.Fatalf("server: %v\nfile: %q\n%s (%v)", server, file, raw, err)
		}
		if server == nil {
			accepted++
		} else {
			refused++
		}
	})
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted, %d refused: the networks drawn are too much alike", accepted, refused)
	}
}

// drawNetwork changes up to four fields of a sound network. A quarter of the values are of no kind that fits.
func drawNetwork() *rapid.Generator[*unstructured.Unstructured] {
	return rapid.Custom(func(t *rapid.T) *unstructured.Unstructured {
		o := object(network())
		for range rapid.IntRange(0, 4).Draw(t, "fields") {
			path := rapid.SampledFrom(drawnPaths()).Draw(t, "path")
			values := drawnValues(path)
			if rapid.IntRange(0, 3).Draw(t, "unsound") == 0 {
				values = []any{nil, true, "", "a b", -1, 1 << 33, 1.5, 2.0, []any{}, []any{1}, []any{nil}, m{}, m{"a": "b"}, m{"a": nil}}
			}
			set(o.Object, path, decoded(m{"v": rapid.SampledFrom(values).Draw(t, "value")})["v"])
		}
		return o
	})
}

// set puts a value at a path, with objects on the way.
func set(o map[string]any, path []string, v any) {
	for ; len(path) > 1; path = path[1:] {
		below, ok := o[path[0]].(map[string]any)
		if !ok {
			below = map[string]any{}
			o[path[0]] = below
		}
		o = below
	}
	o[path[0]] = v
}

func drawnPaths() [][]string {
	return [][]string{
		{"metadata", "name"}, {"metadata", "labels"}, {"metadata", "annotations"}, {"metadata", "creationTimestamp"},
		{"metadata", "finalizers"}, {"metadata", "unknown"}, {"unknown"}, {"spec"},
		{"spec", "provider"}, {"spec", "nodeSelector"}, {"spec", "nodeSelector", "matchLabels"},
		{"spec", "nodeSelector", "matchExpressions"}, {"spec", "interfaceSelector"}, {"spec", "interfaceSelector", "deviceIndexes"},
		{"spec", "interfaceSelector", "names"}, {"spec", "interfaceSelector", "tags"}, {"spec", "ipFamilies"}, {"spec", "addressSources"},
		{"spec", "attachment"}, {"spec", "attachment", "name"}, {"spec", "attachment", "namespace"}, {"spec", "default"}, {"spec", "mtu"},
		{"spec", "hostAccess"}, {"spec", "hostAccess", "enabled"}, {"spec", "hostAccess", "cidrs"}, {"spec", "routes"},
		{"spec", "exclude"}, {"spec", "cooldownSeconds"}, {"spec", "allowedNamespaces"}, {"spec", "requestedIPs"},
		{"spec", "metadataService"}, {"spec", "metadataService", "mode"}, {"spec", "metadataService", "exceptNamespaces"},
		{"spec", "provisioning"}, {"spec", "provisioning", "mode"}, {"spec", "provisioning", "minFree"}, {"spec", "provisioning", "maxFree"},
		{"spec", "unknown"},
	}
}

// drawnValues are values of the kind that a field takes, at and beyond their limits.
func drawnValues(path []string) []any {
	switch path[len(path)-1] {
	case "name":
		return []any{"a", "ens6", "ens6.100", "Ens6", "ipvlan-ens6"}
	case "provider":
		return []any{"AWS", "Manual", "aws"}
	case "deviceIndexes":
		return []any{[]int{0}, []int{63, 1}, []int{64}, []int{1, 1}, []float64{1.0}}
	case "names":
		return []any{[]string{"ens6"}, []string{"a/b"}, []string{"ens6", "ens6"}, []string{"enx0123456789abc"}}
	case "tags", "matchLabels", "labels", "annotations":
		return []any{m{"a": "b"}, m{"a.b/c": "d"}, m{"a b": "c"}, m{"a": 1}, m{"a": ""}}
	case "matchExpressions":
		return []any{[]m{{"key": "a", "operator": "Exists"}}, []m{{"key": "a", "operator": "In"}}, []m{{"key": "a"}}}
	case "ipFamilies":
		return []any{[]string{"IPv4"}, []string{"IPv6", "IPv4"}, []string{"IPv4", "IPv4"}, []string{"v4"}}
	case "addressSources":
		return []any{[]string{"Prefix"}, []string{"SecondaryIP", "Prefix"}, []string{"Primary"}}
	case "default", "enabled":
		return []any{true, false, "true"}
	case "mtu", "cooldownSeconds", "minFree", "maxFree":
		return []any{0, 1, 15, 16, 24, 1024, 1280, 2048, 3600, 3601, 9216, 9217, 16.0, "16"}
	case "cidrs", "exclude":
		return []any{[]string{"10.0.0.0/8"}, []string{"fd00::/64", "::/0"}, []string{"10.0.0.1/8"}, []string{"10.0.0.1"}, []string{"10.0.0.1-10.0.0.9"}, []string{"010.0.0.1"}, []string{"::ffff:10.0.0.1"}, []string{"fe80::1%eth0"}}
	case "routes":
		return []any{[]m{{"destination": "10.0.0.0/8", "gateway": "10.0.0.1"}}, []m{{"destination": "10.0.0.0/8", "gateway": "::1"}}, []m{{"gateway": "::1"}}}
	case "allowedNamespaces", "exceptNamespaces":
		return []any{[]string{"a"}, []string{"a", "b"}, []string{"A"}, []string{"a", "a"}, []string{}}
	case "requestedIPs":
		return []any{"Deny", "Allow", "Maybe"}
	case "mode":
		return []any{"Observe", "Manage", "Block", "Allow"}
	case "finalizers":
		return []any{[]string{"underlay.dev/x"}, []string{"x"}}
	case "creationTimestamp":
		return []any{"2026-01-02T03:04:05Z", "yesterday"}
	default:
		return []any{m{}, m{"a": 1}}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package manifests holds what is installed into a cluster, and the schemas of what users write, embedded into the
// binaries: the CRDs, operator and agent with their permissions, and the JSON Schema of inventory files. CRDs and schema
// are generated from the markers in api/ and never edited (make generate); base/ is a kustomize base, written by hand.
//
// What Install gives is what kustomize makes of base/, but for what its options change.
//
// It imports apimachinery and sigs.k8s.io/yaml only.
package manifests

//go:generate go -C ../internal/tools run ./schema -dir ../.. -out ../../manifests/schema/inventory.json

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml" // whole numbers stay whole, as when a client reads them
)

//go:embed crds/underlay.dev_*.yaml
var crds embed.FS

//go:embed schema/inventory.json
var inventorySchema []byte

// CRDs gives the CustomResourceDefinitions, by name. Each call gives new objects.
func CRDs() ([]*unstructured.Unstructured, error) {
	files, err := fs.Glob(crds, "crds/*")
	if err != nil {
		return nil, fmt.Errorf("embedded CRDs: %w", err)
	}
	var objects []*unstructured.Unstructured
	for _, file := range files {
		object, err := readCRD(file)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(a.GetName(), b.GetName())
	})
	return objects, nil
}

// CRD gives one CustomResourceDefinition by the plural of its resource, such as underlaynetworks.
func CRD(plural string) (*unstructured.Unstructured, error) {
	return readCRD("crds/underlay.dev_" + plural + ".yaml")
}

// InventorySchema gives the JSON Schema (draft 7) of inventory files.
func InventorySchema() []byte { return slices.Clone(inventorySchema) }

func readCRD(file string) (*unstructured.Unstructured, error) {
	raw, err := crds.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("embedded CRD: %w", err)
	}
	object := &unstructured.Unstructured{}
	if err := utilyaml.Unmarshal(raw, &object.Object); err != nil {
		return nil, fmt.Errorf("embedded CRD %s: %w", file, err)
	}
	return object, nil
}

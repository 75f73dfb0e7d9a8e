// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of kubectl underlay, group underlay.dev, version v1alpha1: the custom resources
// UnderlayNetwork (intent), UnderlayPool (addresses) and UnderlayNode (what a node's agent saw), and the file
// format Inventory.
//
// The schema, CEL rules and printer columns of the custom resources are generated from the markers in this package
// into manifests/crds; the Inventory's schema into manifests/schema. The package imports nothing beyond
// k8s.io/apimachinery, so that everything else may import it.
//
// +kubebuilder:object:generate=true
// +groupName=underlay.dev
package v1alpha1

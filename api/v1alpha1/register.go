// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of all kinds, Version their version.
const (
	Group   = "underlay.dev"
	Version = "v1alpha1"
)

// GroupVersion is underlay.dev/v1alpha1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: Version}
}

// AddToScheme registers the custom resources of this package.
func AddToScheme(s *runtime.Scheme) error {
	gv := GroupVersion()
	s.AddKnownTypes(gv,
		&UnderlayNetwork{}, &UnderlayNetworkList{},
		&UnderlayPool{}, &UnderlayPoolList{},
		&UnderlayNode{}, &UnderlayNodeList{},
	)
	metav1.AddToGroupVersion(s, gv)
	return nil
}

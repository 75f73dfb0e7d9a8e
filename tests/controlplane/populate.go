// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// parseCRDs reads definitions, each a YAML document.
func parseCRDs(documents [][]byte) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var definitions []*apiextensionsv1.CustomResourceDefinition
	for _, document := range documents {
		definition := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(document, definition); err != nil {
			return nil, fmt.Errorf("read a CustomResourceDefinition: %w", err)
		}
		definitions = append(definitions, definition)
	}
	return definitions, nil
}

// populate waits for the namespace that the cluster's identity comes from, then creates the objects.
func (c *ControlPlane) populate(ctx context.Context, objects []client.Object) error {
	api, err := client.New(c.Config, client.Options{})
	if err != nil {
		return fmt.Errorf("make a client for the control plane: %w", err)
	}
	// The API server makes its own namespaces shortly after it says that it is healthy.
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, startTimeout, true, func(ctx context.Context) (bool, error) {
		err := api.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &corev1.Namespace{})
		return err == nil, client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("wait for namespace %s: %w", metav1.NamespaceSystem, err)
	}
	for _, object := range objects {
		if err := api.Create(ctx, object); err != nil {
			return fmt.Errorf("create %T %s: %w", object, client.ObjectKeyFromObject(object), err)
		}
	}
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Spiderpool lists Spiderpool's pools and configurations, of those kinds that the cluster serves.
func (c *Cluster) Spiderpool(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, kind := range []string{"SpiderMultusConfig", "SpiderIPPool", "SpiderCoordinator"} {
		gvk := schema.GroupVersionKind{Group: "spiderpool.spidernet.io", Version: "v2beta1", Kind: kind}
		served, err := c.serves(gvk)
		if err != nil {
			return nil, err
		}
		if !served {
			continue
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(kind + "List"))
		if err := c.client.List(ctx, list); err != nil {
			return nil, fmt.Errorf("list %s: %w", kind, explain(c.host, err))
		}
		for i := range list.Items {
			out = append(out, &list.Items[i])
		}
	}
	return out, nil
}

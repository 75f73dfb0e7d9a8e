// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// finalizerPrefix begins the finalizers that are ours to take away.
const finalizerPrefix = "underlay.dev/"

// List reads all objects of a kind that have these labels, by namespace and name; none where the kind is not served.
func (c *Cluster) List(ctx context.Context, gvk schema.GroupVersionKind, labels map[string]string) ([]*unstructured.Unstructured, error) {
	served, err := c.serves(gvk)
	if err != nil || !served {
		return nil, err
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gvk)
	if err := c.client.List(ctx, list, client.MatchingLabels(labels)); err != nil {
		return nil, fmt.Errorf("list %s: %w", gvk.Kind, explain(c.host, err))
	}
	out := make([]*unstructured.Unstructured, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	return out, nil
}

// Existing gives the live objects of those wanted, in their order.
func (c *Cluster) Existing(ctx context.Context, want []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, object := range want {
		live, err := c.getServed(ctx, object)
		if err != nil {
			return nil, err
		}
		if live != nil {
			out = append(out, live)
		}
	}
	return out, nil
}

// Delete asks for the removal of the objects; those that are gone already are no error. Dependents follow in the
// background.
func (c *Cluster) Delete(ctx context.Context, objects []*unstructured.Unstructured) error {
	progress := &tally{total: len(objects)}
	return each(ctx, objects, progress, func(ctx context.Context, object *unstructured.Unstructured) error {
		if object.GetDeletionTimestamp() != nil {
			return nil
		}
		return c.remove(ctx, object, ApplyOptions{})
	})
}

// WaitGone waits until none of the objects exists, and tells which are left meanwhile.
func (c *Cluster) WaitGone(ctx context.Context, objects []*unstructured.Unstructured, tell func(left []*unstructured.Unstructured)) error {
	left := objects
	return wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var err error
		if left, err = c.Existing(ctx, left); err != nil {
			return false, err
		}
		if len(left) > 0 {
			tell(left)
		}
		return len(left) == 0, nil
	})
}

// DropFinalizers takes our own finalizers from an object, where nobody is left to do it.
func (c *Cluster) DropFinalizers(ctx context.Context, object *unstructured.Unstructured) error {
	live, err := c.getServed(ctx, object)
	if err != nil || live == nil {
		return err
	}
	before := live.DeepCopy()
	live.SetFinalizers(slices.DeleteFunc(live.GetFinalizers(), func(f string) bool { return strings.HasPrefix(f, finalizerPrefix) }))
	if len(live.GetFinalizers()) == len(before.GetFinalizers()) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := client.IgnoreNotFound(c.client.Patch(ctx, live, patch, client.FieldOwner(FieldManager))); err != nil {
		return fmt.Errorf("take the finalizer from %s %s: %w", object.GetKind(), object.GetName(), explain(c.host, err))
	}
	return nil
}

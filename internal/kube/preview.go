// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// crdKind is the kind of our CRDs.
const crdKind = "CustomResourceDefinition"

// Preview says what applying want would change: before holds the live objects, after what they would be. It asks the
// API server itself by a dry run, so that defaults and other managers' fields are not mistaken for changes; pools,
// which may be many and have one writer, are compared here.
func (c *Cluster) Preview(ctx context.Context, want []*unstructured.Unstructured, pools []v1alpha1.UnderlayPool, force bool) (before, after []*unstructured.Unstructured, err error) {
	livePools, err := byName(pools)
	if err != nil {
		return nil, nil, err
	}
	for _, object := range want {
		var live, result *unstructured.Unstructured
		if object.GetKind() == "UnderlayPool" {
			live = livePools[object.GetName()]
			result = overlay(live, object)
		} else if live, result, err = c.dryRun(ctx, object, force); err != nil {
			return nil, nil, err
		}
		if live != nil {
			before = append(before, live)
		}
		after = append(after, result)
	}
	return before, after, nil
}

// PreviewDerived says what the operator would change, given the pools that exist: it is the only writer of what it
// derives, so nobody else is asked.
func (c *Cluster) PreviewDerived(ctx context.Context, want []*unstructured.Unstructured, pools []v1alpha1.UnderlayPool) (before, after []*unstructured.Unstructured, err error) {
	livePools, err := byName(pools)
	if err != nil {
		return nil, nil, err
	}
	for _, object := range want {
		live := livePools[object.GetName()]
		if object.GetKind() != "UnderlayPool" {
			if live, err = c.getServed(ctx, object); err != nil {
				return nil, nil, err
			}
		}
		if live != nil {
			before = append(before, live)
		}
		after = append(after, overlay(live, object))
	}
	return before, after, nil
}

func (c *Cluster) dryRun(ctx context.Context, want *unstructured.Unstructured, force bool) (live, result *unstructured.Unstructured, err error) {
	served, err := c.serves(want.GroupVersionKind())
	if err != nil || !served {
		return nil, want, err
	}
	if live, err = c.get(ctx, want); err != nil || live == nil {
		return nil, want, err
	}
	if err := refuseDowngrade(live, want); err != nil {
		return nil, nil, err
	}
	result, err = c.apply(ctx, want, ApplyOptions{DryRun: true, Force: force})
	return live, result, err
}

// overlay is what a pool or attachment becomes when its only writer applies want over live.
func overlay(live, want *unstructured.Unstructured) *unstructured.Unstructured {
	if live == nil {
		return want
	}
	out := live.DeepCopy()
	out.Object["spec"] = runtime.DeepCopyJSONValue(want.Object["spec"])
	labels := out.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, want.GetLabels())
	out.SetLabels(labels)
	if owners := want.GetOwnerReferences(); len(owners) > 0 {
		out.SetOwnerReferences(owners)
	}
	return out
}

// Objects makes unstructured objects of pools, as Preview and Delete take them.
func Objects(pools []v1alpha1.UnderlayPool) ([]*unstructured.Unstructured, error) {
	out := make([]*unstructured.Unstructured, 0, len(pools))
	for i := range pools {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&pools[i])
		if err != nil {
			return nil, fmt.Errorf("pool %s: %w", pools[i].Name, err)
		}
		object := &unstructured.Unstructured{Object: content}
		object.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind("UnderlayPool"))
		out = append(out, object)
	}
	return out, nil
}

func byName(pools []v1alpha1.UnderlayPool) (map[string]*unstructured.Unstructured, error) {
	objects, err := Objects(pools)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*unstructured.Unstructured, len(objects))
	for _, object := range objects {
		out[object.GetName()] = object
	}
	return out, nil
}

// apply sends one object and returns what it became.
func (c *Cluster) apply(ctx context.Context, want *unstructured.Unstructured, opts ApplyOptions) (*unstructured.Unstructured, error) {
	result := want.DeepCopy()
	options := []client.ApplyOption{client.FieldOwner(FieldManager)}
	if opts.DryRun {
		options = append(options, client.DryRunAll)
	}
	// Pools and CRDs have one writer. Others may own the rest, or parts of it: a network's user, an attachment that was
	// there before; those are taken over only when told to.
	if kind := want.GetKind(); opts.Force || kind == "UnderlayPool" || kind == crdKind {
		options = append(options, client.ForceOwnership)
	}
	if err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(result), options...); err != nil {
		return nil, fmt.Errorf("%s %s: %w", want.GetKind(), want.GetName(), explain(c.host, err))
	}
	return result, nil
}

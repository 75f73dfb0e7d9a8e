// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ApplyOptions say how to apply.
type ApplyOptions struct {
	// DryRun lets the API server check everything and store nothing.
	DryRun bool
	// Force takes over fields of networks and attachments that other managers own.
	Force bool
	// Done, if set, is told each object after it was applied or deleted; calls do not overlap.
	Done func(object *unstructured.Unstructured)
}

// PartialError says that some objects were written and others were not. Applying again completes it.
type PartialError struct {
	Done, Total int
	Err         error
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%d of %d objects were written, then: %v; run the same command again to complete it", e.Done, e.Total, e.Err)
}

func (e *PartialError) Unwrap() error { return e.Err }

// Apply applies the objects kind by kind in the order given (CRDs first, and it waits until they are served), then
// deletes those in remove. An error is a *PartialError.
func (c *Cluster) Apply(ctx context.Context, want, remove []*unstructured.Unstructured, opts ApplyOptions) error {
	progress := &tally{total: len(want) + len(remove), tell: opts.Done}
	for _, group := range byKind(want) {
		err := each(ctx, group, progress, func(ctx context.Context, object *unstructured.Unstructured) error {
			return c.applyServed(ctx, object, opts)
		})
		if err != nil {
			return progress.failed(err)
		}
	}
	err := each(ctx, remove, progress, func(ctx context.Context, object *unstructured.Unstructured) error {
		return c.remove(ctx, object, opts)
	})
	if err != nil {
		return progress.failed(err)
	}
	return nil
}

// CanApply says which kind the cluster does not serve, if any, before something is written. Kinds whose CRD is among
// the objects will be served in time.
func (c *Cluster) CanApply(want []*unstructured.Unstructured) error {
	defined := map[schema.GroupKind]bool{}
	for _, object := range want {
		if object.GetKind() == crdKind {
			defined[crdGroupKind(object)] = true
		}
	}
	for _, group := range byKind(want) {
		gvk := group[0].GroupVersionKind()
		if defined[gvk.GroupKind()] {
			continue
		}
		served, err := c.serves(gvk)
		if err != nil {
			return err
		}
		if !served {
			return fmt.Errorf("the cluster does not serve %s (%s): install what brings it first; nothing was written", gvk.Kind, gvk.GroupVersion())
		}
	}
	return nil
}

// applyServed applies one object, and after a CRD waits until its kind is served.
func (c *Cluster) applyServed(ctx context.Context, object *unstructured.Unstructured, opts ApplyOptions) error {
	if opts.DryRun {
		if known, err := c.canDryRun(ctx, object); err != nil || !known {
			return err
		}
	}
	if _, err := c.apply(ctx, object, opts); err != nil {
		return err
	}
	if object.GetKind() == crdKind && !opts.DryRun {
		return c.waitEstablished(ctx, object)
	}
	return nil
}

// canDryRun says whether the API server can check an object: not before its CRD and its namespace are there.
func (c *Cluster) canDryRun(ctx context.Context, object *unstructured.Unstructured) (bool, error) {
	served, err := c.serves(object.GroupVersionKind())
	if err != nil || !served || object.GetNamespace() == "" {
		return served, err
	}
	namespace := &unstructured.Unstructured{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	namespace.SetName(object.GetNamespace())
	live, err := c.get(ctx, namespace)
	return live != nil, err
}

func (c *Cluster) remove(ctx context.Context, object *unstructured.Unstructured, opts ApplyOptions) error {
	var options []client.DeleteOption
	if opts.DryRun {
		options = append(options, client.DryRunAll)
	}
	if err := client.IgnoreNotFound(c.client.Delete(ctx, object, options...)); err != nil {
		return fmt.Errorf("delete %s %s: %w", object.GetKind(), object.GetName(), explain(c.host, err))
	}
	return nil
}

// byKind cuts the list where the kind changes: a kind's objects do not depend on each other.
func byKind(objects []*unstructured.Unstructured) [][]*unstructured.Unstructured {
	var groups [][]*unstructured.Unstructured
	for start := 0; start < len(objects); {
		end := start + 1
		for end < len(objects) && objects[end].GetKind() == objects[start].GetKind() {
			end++
		}
		groups = append(groups, objects[start:end])
		start = end
	}
	return groups
}

// tally counts what was written.
type tally struct {
	mu    sync.Mutex
	done  int
	total int
	tell  func(*unstructured.Unstructured)
}

func (t *tally) count(object *unstructured.Unstructured) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	if t.tell != nil {
		t.tell(object)
	}
}

func (t *tally) failed(err error) error {
	return &PartialError{Done: t.done, Total: t.total, Err: err}
}

// each runs do for all objects, some at a time, and stops at the first error.
func each(ctx context.Context, objects []*unstructured.Unstructured, progress *tally, do func(context.Context, *unstructured.Unstructured) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for chunk := range slices.Chunk(objects, max(1, (len(objects)+parallel-1)/parallel)) {
		running.Go(func() {
			for _, object := range chunk {
				if ctx.Err() != nil {
					return
				}
				if err := do(ctx, object); err != nil {
					cancel(err)
					return
				}
				progress.count(object)
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// passTime is how long one pass goes on writing before the world is looked at again: twenty thousand pools take minutes,
// and a node that comes meanwhile should not wait.
const passTime = 5 * time.Second

// writePools brings pools up to date, some at a time, and changes outcomes to what was written. One that fails does not
// stop the others. It says whether all was done: not where time has run out, or where the cache lagged.
func (o *operator) writePools(ctx context.Context, outcomes []outcome) (done bool, err error) {
	deadline := time.Now().Add(passTime)
	var left atomic.Bool
	err = each(ctx, o.options.Writes, outcomes, func(out *outcome) error {
		if !o.differs(out) {
			return nil
		}
		if time.Now().After(deadline) {
			left.Store(true)
			return nil
		}
		err := o.writePool(ctx, out)
		if apierrors.IsConflict(err) {
			left.Store(true)
			return nil
		}
		out.failed = err
		return err
	})
	return !left.Load(), err
}

// differs says whether something is to be written.
func (o *operator) differs(out *outcome) bool {
	return out.live == nil && out.want != nil || out.live != nil && (out.want == nil || !samePool(out.live, out.want) ||
		!sameStatus(out.live.Status, out.status(out.live)))
}

func (o *operator) writePool(ctx context.Context, out *outcome) error {
	switch {
	case out.live != nil && out.live.DeletionTimestamp != nil:
		return nil
	case out.want == nil:
		return o.deletePool(ctx, out)
	case out.live == nil || !samePool(out.live, out.want):
		written, err := o.applyPool(ctx, out.live, out.want)
		if err != nil {
			return err
		}
		o.tellRanges(out.live, written)
		out.created, out.live = out.live == nil, written
	}
	status := out.status(out.live)
	if sameStatus(out.live.Status, status) {
		return nil
	}
	after := *out.live
	after.Status = status
	if err := o.client.Status().Patch(ctx, &after, client.MergeFrom(out.live), client.FieldOwner(kube.FieldManager)); err != nil {
		return fmt.Errorf("status of pool %s: %w", out.live.Name, err)
	}
	for _, c := range news(out.live.Status.Conditions, status.Conditions, goodPool) {
		o.event(&after, goodPool(c), c.Reason, "%s is %s: %s", c.Type, c.Status, c.Message)
	}
	out.live = &after
	return nil
}

// deletePool deletes exactly what was seen: had it changed, it might be in use.
func (o *operator) deletePool(ctx context.Context, out *outcome) error {
	err := o.client.Delete(ctx, out.live, client.Preconditions{UID: &out.live.UID, ResourceVersion: &out.live.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete pool %s: %w", out.live.Name, err)
	}
	out.deleted = true
	return nil
}

// applyPool writes what is ours of the pool. A live one is only changed if it is the one that was seen, so that a cache
// that lags cannot take ranges from it.
func (o *operator) applyPool(ctx context.Context, live, want *v1alpha1.UnderlayPool) (*v1alpha1.UnderlayPool, error) {
	object := plan.Object(&v1alpha1.UnderlayPool{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "UnderlayPool"},
		ObjectMeta: metav1.ObjectMeta{Name: want.Name, Labels: map[string]string{plan.LabelManagedBy: plan.ManagedBy},
			OwnerReferences: slices.DeleteFunc(slices.Clone(want.OwnerReferences), func(o metav1.OwnerReference) bool { return o.Kind != "Node" })},
		Spec: want.Spec,
	})
	if live != nil {
		object.SetResourceVersion(live.ResourceVersion)
		// Absent would leave what somebody else has set.
		for field, emptied := range map[string]bool{
			"exclude":  len(live.Spec.Exclude) > 0 && len(want.Spec.Exclude) == 0,
			"draining": len(live.Spec.Draining) > 0 && len(want.Spec.Draining) == 0,
		} {
			if emptied {
				if err := unstructured.SetNestedSlice(object.Object, []any{}, "spec", field); err != nil {
					return nil, fmt.Errorf("pool %s: %w", want.Name, err)
				}
			}
		}
	}
	if err := o.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(kube.FieldManager), client.ForceOwnership); err != nil {
		return nil, fmt.Errorf("apply pool %s: %w", want.Name, err)
	}
	written := &v1alpha1.UnderlayPool{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, written); err != nil {
		return nil, fmt.Errorf("pool %s: %w", want.Name, err)
	}
	return written, nil
}

// tellRanges tells of a live pool's ranges that come, go or drain. A new pool is told of by its network.
func (o *operator) tellRanges(before, after *v1alpha1.UnderlayPool) {
	if before == nil {
		return
	}
	for _, n := range []struct {
		reason, format string
		from, to       []v1alpha1.Range
	}{
		{"RangesAdded", "%s: now handed out", before.Spec.Ranges, after.Spec.Ranges},
		{"RangesRemoved", "%s: taken out", after.Spec.Ranges, before.Spec.Ranges},
		{"RangesDraining", "%s: hands out nothing more", before.Spec.Draining, after.Spec.Draining},
	} {
		if list := iprange.Subtract(parseRanges(n.to), parseRanges(n.from)); len(list) > 0 {
			o.event(after, true, n.reason, n.format, listed(list))
		}
	}
}

// event tells of a change, in the words of the condition that has it.
func (o *operator) event(object client.Object, good bool, reason, format string, args ...any) {
	kind := corev1.EventTypeNormal
	if !good {
		kind = corev1.EventTypeWarning
	}
	o.events.Eventf(object, nil, kind, reason, "Reconcile", format, args...)
}

// each runs do for all items, some at a time, and gives the errors of the first few.
func each[T any](ctx context.Context, parallel int, items []T, do func(*T) error) error {
	var mu sync.Mutex
	var failed []error
	next := make(chan *T)
	var running sync.WaitGroup
	for range parallel {
		running.Go(func() {
			for item := range next {
				if err := do(item); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range items {
		if ctx.Err() != nil {
			break
		}
		next <- &items[i]
	}
	close(next)
	running.Wait()
	return summary(failed)
}

// summary keeps the first errors of many, since each is a line of the log.
func summary(failed []error) error {
	const shown = 3
	if len(failed) <= shown {
		return errors.Join(failed...)
	}
	return fmt.Errorf("%w\nand %d more", errors.Join(failed[:shown]...), len(failed)-shown)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// finalizer keeps a network until its pools and its attachment are gone.
const finalizer = "underlay.dev/network"

// networkFacts is all that a network's status depends on.
type networkFacts struct {
	live         *v1alpha1.UnderlayNetwork
	pools        []*outcome
	findings     []plan.Finding
	failure      *cloud.Error
	observed     bool
	attachment   attachmentState
	serviceCIDRs []string
}

// writeNetworks brings status and finalizers up to date.
func (o *operator) writeNetworks(ctx context.Context, facts []networkFacts) error {
	return each(ctx, o.options.Writes, facts, func(f *networkFacts) error {
		o.tellPools(f)
		err := o.finalize(ctx, f)
		if apierrors.IsConflict(err) {
			o.soon() // the cache lags
			return nil
		}
		if err != nil {
			return fmt.Errorf("network %s: %w", f.live.Name, err)
		}
		status := f.status()
		gone := f.live.DeletionTimestamp != nil && !controllerutil.ContainsFinalizer(f.live, finalizer)
		if gone || apiequality.Semantic.DeepEqual(f.live.Status, status) || o.countedJustNow(f.live, status) {
			return nil
		}
		after := *f.live
		after.Status = status
		if err := o.client.Status().Patch(ctx, &after, client.MergeFrom(f.live), client.FieldOwner(kube.FieldManager)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("status of network %s: %w", f.live.Name, err)
		}
		o.counted.Store(f.live.Name, time.Now())
		for _, c := range news(f.live.Status.Conditions, status.Conditions, func(metav1.Condition) bool { return false }) {
			o.event(&after, c.Status == metav1.ConditionTrue, c.Reason, "%s", c.Message)
		}
		return nil
	})
}

// countedJustNow puts off a status in which nothing but the counts has changed: on a large cluster some node's always do.
func (o *operator) countedJustNow(live *v1alpha1.UnderlayNetwork, status v1alpha1.UnderlayNetworkStatus) bool {
	status.Usage = live.Status.Usage
	last, _ := o.counted.Load(live.Name)
	at, known := last.(time.Time)
	wait := time.Until(at.Add(countEvery * o.options.Debounce))
	if !known || wait <= 0 || !apiequality.Semantic.DeepEqual(live.Status, status) {
		return false
	}
	o.pass(wait)
	return true
}

// countEvery is how far apart two statuses are at least in which only counts differ, in debounces: five seconds by default,
// as often as agents report.
const countEvery = 100

// tellPools tells of pools that came and went, all of a pass in one event.
func (o *operator) tellPools(f *networkFacts) {
	var created, deleted []string
	for _, p := range f.pools {
		switch {
		case p.created:
			created = append(created, p.live.Name)
		case p.deleted:
			deleted = append(deleted, p.live.Name)
		}
	}
	if len(created) > 0 {
		o.event(f.live, true, "PoolsCreated", "%s: %s", plan.Count(len(created), "new pool"), plan.Some(created))
	}
	if len(deleted) > 0 {
		o.event(f.live, true, "PoolsDeleted", "%s, of which nothing was left: %s", plan.Count(len(deleted), "pool"), plan.Some(deleted))
	}
}

// finalize sets our finalizer, and takes it away from a deleted network of which nothing is left.
func (o *operator) finalize(ctx context.Context, f *networkFacts) error {
	after := f.live.DeepCopy()
	switch {
	case f.live.DeletionTimestamp == nil:
		if !controllerutil.AddFinalizer(after, finalizer) {
			return nil
		}
	case f.holders() != "" || f.derivedPools() > 0 || !controllerutil.ContainsFinalizer(after, finalizer):
		return nil
	default:
		if err := o.deleteAttachment(ctx, f.live); err != nil {
			return err
		}
		controllerutil.RemoveFinalizer(after, finalizer)
	}
	lock := client.MergeFromWithOptions(f.live, client.MergeFromWithOptimisticLock{})
	if err := o.client.Patch(ctx, after, lock, client.FieldOwner(kube.FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("finalizer: %w", err)
	}
	f.live = after
	return nil
}

// deleteAttachment deletes the attachment of a network that goes, if it is ours.
func (o *operator) deleteAttachment(ctx context.Context, network *v1alpha1.UnderlayNetwork) error {
	if !o.multus.served() {
		return nil
	}
	spec := network.Effective()
	object := plan.Attachment{Namespace: spec.Attachment.Namespace, Name: spec.Attachment.Name}.Object()
	live := object.DeepCopy()
	if err := o.attachments.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
		return client.IgnoreNotFound(err) // the cache has ours alone
	}
	for _, other := range o.last.attachments {
		if other.Namespace == object.GetNamespace() && other.Name == object.GetName() {
			return nil // another network has it now
		}
	}
	if err := o.client.Delete(ctx, live); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete attachment %s: %w", spec.Attachment, err)
	}
	return nil
}

// failed is the first error of writing the pools.
func (f *networkFacts) failed() error {
	for _, p := range f.pools {
		if p.failed != nil {
			return p.failed
		}
	}
	return nil
}

// derivedPools counts pools of ours that are still there.
func (f *networkFacts) derivedPools() int {
	n := 0
	for _, p := range f.pools {
		if p.derived && p.live != nil && !p.deleted {
			n++
		}
	}
	return n
}

// waitsFor names the nodes whose pools are left.
func (f *networkFacts) waitsFor() string {
	nodes := map[string]bool{}
	for _, p := range f.pools {
		if p.derived && p.live != nil && !p.deleted {
			nodes[p.live.Spec.NodeName] = true
		}
	}
	return fmt.Sprintf("%s left, until the agents of these nodes report that they have drained: %s", plan.Count(f.derivedPools(), "pool"),
		plan.Some(slices.Sorted(maps.Keys(nodes))))
}

// holders says how many addresses pods hold, and on which nodes; empty: none.
func (f *networkFacts) holders() string {
	var sum int64
	nodes := map[string]bool{}
	for _, p := range f.pools {
		if p.live == nil || p.deleted {
			continue
		}
		allocated := p.live.Status.Allocated // as last counted, should the agent be gone
		if p.report != nil {
			allocated = p.report.Allocated
		}
		if allocated > 0 {
			sum += allocated
			nodes[p.live.Spec.NodeName] = true
		}
	}
	if sum == 0 {
		return ""
	}
	return fmt.Sprintf("pods hold %s on %s", plan.Count(int(sum), "address"), plan.Some(slices.Sorted(maps.Keys(nodes))))
}

func (f *networkFacts) status() v1alpha1.UnderlayNetworkStatus {
	out := *f.live.Status.DeepCopy()
	out.ServiceCIDRs = f.serviceCIDRs
	out.Pools, out.Nodes, out.Usage = 0, 0, v1alpha1.Usage{}
	nodes := map[string]bool{}
	for _, p := range f.pools {
		if p.live == nil || p.deleted {
			continue
		}
		out.Pools++
		nodes[p.live.Spec.NodeName] = true
		out.Capacity = min(out.Capacity+p.live.Status.Capacity, iprange.MaxSize)
		out.Allocated += p.live.Status.Allocated
		out.Available = min(out.Available+p.live.Status.Available, iprange.MaxSize)
	}
	out.Nodes = int32(len(nodes)) //nolint:gosec // a cluster has fewer nodes than 2^31
	ready := f.ready(out)
	meta.SetStatusCondition(&out.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: ready.status, Reason: ready.reason,
		Message: ready.message, ObservedGeneration: f.live.Generation})
	return out
}

// serviceCIDRs lists the cluster's, where their kind is served.
func (o *operator) serviceCIDRs(ctx context.Context) ([]string, error) {
	if !o.services.served() {
		return nil, nil
	}
	var list networkingv1.ServiceCIDRList
	if err := o.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list service CIDRs from the cache: %w", err)
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Spec.CIDRs...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

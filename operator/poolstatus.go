// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// The reasons of the condition Exhausted.
const (
	reasonNoAddressFree = "NoAddressFree"
	reasonAddressesFree = "AddressesFree"
	reasonHandsOutNone  = "HandsOutNone"
)

// status of the pool as it is now in the cluster. The agent counts what is held; the rest follows from the spec.
func (o *outcome) status(live *v1alpha1.UnderlayPool) v1alpha1.UnderlayPoolStatus {
	out := *live.Status.DeepCopy()
	valid := verdict{metav1.ConditionTrue, reasonUsable, "the pool may hand out addresses"}
	if o.fault != (fault{}) {
		valid = verdict{metav1.ConditionFalse, o.fault.reason, o.fault.message}
	}
	out.Capacity, out.Available = o.count(live)
	if o.report != nil {
		out.Allocated, out.Cooling = o.report.Allocated, o.report.Cooling
	}
	set := func(kind string, v verdict) {
		if v == (verdict{}) {
			meta.RemoveStatusCondition(&out.Conditions, kind)
			return
		}
		meta.SetStatusCondition(&out.Conditions, metav1.Condition{Type: kind, Status: v.status, Reason: v.reason, Message: v.message,
			ObservedGeneration: live.Generation})
	}
	set(v1alpha1.ConditionValid, valid)
	set(v1alpha1.ConditionInSync, o.inSync)
	set(v1alpha1.ConditionExhausted, o.exhausted(live, out.Available))
	return out
}

// sameStatus compares without reflection, which took half of a pass: each pass compares the status of each pool.
func sameStatus(a, b v1alpha1.UnderlayPoolStatus) bool {
	return a.Usage == b.Usage && a.Cooling == b.Cooling && slices.EqualFunc(a.Conditions, b.Conditions, func(x, y metav1.Condition) bool {
		sameTime := x.LastTransitionTime.Equal(&y.LastTransitionTime)
		x.LastTransitionTime, y.LastTransitionTime = metav1.Time{}, metav1.Time{} // one moment can be written in two ways
		return sameTime && x == y
	})
}

// exhausted says whether a pod could get an address now. Nobody knows before the agent has counted.
func (o *outcome) exhausted(live *v1alpha1.UnderlayPool, available int64) verdict {
	switch {
	case o.report == nil:
		return verdict{}
	case available > 0:
		return verdict{metav1.ConditionFalse, reasonAddressesFree, "addresses are free"}
	case o.fault != (fault{}) || live.Spec.Allocation == v1alpha1.AllocationDisabled:
		return verdict{metav1.ConditionTrue, reasonHandsOutNone, "the pool hands out nothing: it is not valid, or its allocation is disabled"}
	}
	return verdict{metav1.ConditionTrue, reasonNoAddressFree, fmt.Sprintf(
		"all addresses are held, cool down or drain: bind another prefix to %s, or delete pods of node %s", live.Spec.Interface.ID, live.Spec.NodeName)}
}

// count gives how many addresses there are, and how many of them a pod could get now. What is held inside a draining
// range is not told apart, so while ranges drain the second number can be too high, by what they hold at most.
func (o *outcome) count(live *v1alpha1.UnderlayPool) (capacity, available int64) {
	ranges, exclude := parseRanges(live.Spec.Ranges), parseRanges(live.Spec.Exclude)
	usable := ranges
	if len(exclude) > 0 {
		usable = iprange.Subtract(ranges, exclude)
	}
	capacity = iprange.Size(usable)
	if o.fault != (fault{}) || live.Spec.Allocation == v1alpha1.AllocationDisabled {
		return capacity, 0
	}
	available, holding := capacity, capacity
	if draining := parseRanges(live.Spec.Draining); len(draining) > 0 {
		available = iprange.Size(iprange.Subtract(usable, draining))
		if o.report != nil {
			holding = iprange.Size(iprange.Subtract(usable, parseRanges(o.report.Drained)))
		}
	}
	if o.report != nil {
		available = min(available, holding-o.report.Allocated-o.report.Cooling)
	}
	return capacity, max(0, available)
}

// news are the conditions that have changed enough to be told as events. What is as it should be from the beginning is
// no news.
func news(before, after []metav1.Condition, good func(metav1.Condition) bool) []metav1.Condition {
	var out []metav1.Condition
	for _, now := range after {
		was := meta.FindStatusCondition(before, now.Type)
		switch {
		case was == nil && good(now):
		case was != nil && was.Status == now.Status && was.Reason == now.Reason:
		default:
			out = append(out, now)
		}
	}
	return out
}

// goodPool says whether the condition is as it should be.
func goodPool(c metav1.Condition) bool {
	if c.Type == v1alpha1.ConditionExhausted {
		return c.Status == metav1.ConditionFalse
	}
	return c.Status == metav1.ConditionTrue
}

// samePool says whether the live pool is what is wanted: its spec, our label, its owner.
func samePool(live, want *v1alpha1.UnderlayPool) bool {
	if live == want {
		return true
	}
	a, b := &live.Spec, &want.Spec
	for key, value := range want.Labels {
		if live.Labels[key] != value {
			return false
		}
	}
	for _, owner := range want.OwnerReferences {
		if !slices.ContainsFunc(live.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner.UID }) {
			return false
		}
	}
	return a.NetworkName == b.NetworkName && a.NodeName == b.NodeName && a.Interface == b.Interface && a.IPFamily == b.IPFamily &&
		a.Subnet == b.Subnet && a.Gateway == b.Gateway && a.Allocation == b.Allocation &&
		slices.Equal(a.Ranges, b.Ranges) && slices.Equal(a.Exclude, b.Exclude) && slices.Equal(a.Draining, b.Draining)
}

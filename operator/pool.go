// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The reasons of the condition InSync.
const (
	reasonAsPlanned         = "AsPlanned"
	reasonNotObserved       = "NotObserved"
	reasonInstanceNotFound  = "InstanceNotFound"
	reasonInterfaceGone     = "InterfaceGone"
	reasonInterfaceReplaced = "InterfaceReplaced"
	reasonNodeGone          = "NodeGone"
	reasonNotPlanned        = "NotPlanned"
	reasonNetworkDeleted    = "NetworkDeleted"
	reasonRangesMissing     = "RangesMissing"
	reasonRangesDraining    = "RangesDraining"
	reasonRangesReturning   = "RangesReturning"
	reasonRangesHeld        = "RangesHeld"
)

// verdict is a condition without its times; the zero verdict is no condition.
type verdict struct {
	status          metav1.ConditionStatus
	reason, message string
}

// outcome is what becomes of one pool.
type outcome struct {
	// live pool; nil if it is to be created. want is what should exist, nil if it is to be deleted.
	live, want *v1alpha1.UnderlayPool
	derived    bool
	inSync     verdict
	fault      fault
	report     *v1alpha1.NodePool

	// What came of it: created, deleted, or failed to be written.
	created, deleted bool
	failed           error
}

// decide says what becomes of each pool, by name. It is pure but for the memory.
func decide(w *world, t *thought, m *memory, begun time.Time, settle time.Duration) []outcome {
	names := slices.Collect(maps.Keys(w.pools))
	for name := range t.pools {
		if w.pools[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	held := heldRanges(w, t)
	out := make([]outcome, 0, len(names))
	for _, name := range names {
		f := poolFacts{live: w.pools[name], planned: t.pools[name], begun: begun, settle: settle}
		o := outcome{live: f.live, want: f.live}
		if f.live != nil {
			f.report, f.agent = w.report(f.live)
			o.report = f.report
		}
		if o.derived = derived(w, f); o.derived {
			f.held = held.except(name, f)
			o.want, o.inSync = becomes(w, t, m, f)
		}
		out = append(out, o)
	}
	m.prune(func(name string) bool { return w.pools[name] != nil || t.pools[name] != nil }, begun, settle)
	judge(t, out)
	return out
}

// derived says whether the pool is ours to make: it is planned, or was.
func derived(w *world, f poolFacts) bool {
	if f.planned != nil {
		return true
	}
	derives, known := w.derives(f.live.Spec.NetworkName)
	return (derives || !known) && f.live.Labels[plan.LabelManagedBy] == plan.ManagedBy
}

// becomes says what becomes of a derived pool.
func becomes(w *world, t *thought, m *memory, f poolFacts) (*v1alpha1.UnderlayPool, verdict) {
	if f.live == nil {
		s := m.settle(f.planned.Name, f)
		return s.want, verdict{metav1.ConditionTrue, reasonAsPlanned, asPlanned}
	}
	network := w.networks[f.live.Spec.NetworkName]
	f.dismissed = network != nil && network.DeletionTimestamp != nil
	node, exists := t.nodes[f.live.Spec.NodeName]
	successor := f.planned != nil && sameInterface(f.live, f.planned)
	owner := nodeOwner(f.live)
	switch {
	case !exists && owner == "":
		return nil, verdict{}
	case !exists:
		return f.live, verdict{metav1.ConditionFalse, reasonNodeGone, fmt.Sprintf(
			"node %s is gone: the pool, which it owns, goes with it", f.live.Spec.NodeName)}
	case owner != "" && owner != string(node.uid) && !successor && node.seen:
		return nil, verdict{} // the machine is another one
	case f.dismissed:
	case !t.observed:
		return f.live, known(f.live)
	case !node.seen:
		return f.live, verdict{metav1.ConditionFalse, reasonInstanceNotFound, fmt.Sprintf(
			"the cloud shows no instance for node %s: the pool stays as it is; delete the node if its machine is gone", f.live.Spec.NodeName)}
	}
	s := m.settle(f.live.Name, f)
	return s.want, s.verdict(f, node)
}

// known is what an earlier operator has said, until the cloud has answered this one.
func known(live *v1alpha1.UnderlayPool) verdict {
	if c := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionInSync); c != nil {
		return verdict{c.Status, c.Reason, c.Message}
	}
	return verdict{metav1.ConditionUnknown, reasonNotObserved, "the cloud has not answered yet: the pool stays as it is"}
}

const asPlanned = "the cloud has bound to the interface what the pool lists"

// nodeOwner is the uid of the Node that owns the pool; empty if none does.
func nodeOwner(p *v1alpha1.UnderlayPool) string {
	for _, owner := range p.OwnerReferences {
		if owner.APIVersion == "v1" && owner.Kind == "Node" {
			return string(owner.UID)
		}
	}
	return ""
}

// verdict says how the pool differs from the plan, and what is waited for.
func (s settled) verdict(f poolFacts, node nodeFacts) verdict {
	if s.inSync() {
		return verdict{metav1.ConditionTrue, reasonAsPlanned, asPlanned}
	}
	id := f.live.Spec.Interface.ID
	out := verdict{status: metav1.ConditionFalse}
	var says []string
	say := func(reason, format string, args ...any) {
		if out.reason == "" {
			out.reason = reason
		}
		says = append(says, fmt.Sprintf(format, args...))
	}
	switch {
	case f.dismissed:
		say(reasonNetworkDeleted, "network %s is being deleted", f.live.Spec.NetworkName)
	case f.planned != nil && !sameInterface(f.live, f.planned):
		say(reasonInterfaceReplaced, "interface %s has taken the place of %s: its pool is made when this one is gone", f.planned.Spec.Interface.ID, id)
	case f.planned == nil && !node.has(id):
		say(reasonInterfaceGone, "node %s no longer has interface %s", f.live.Spec.NodeName, id)
	case f.planned == nil:
		say(reasonNotPlanned, "network %s no longer has addresses on interface %s", f.live.Spec.NetworkName, id)
	}
	if len(s.missing) > 0 {
		say(reasonRangesMissing, "%s: not in the cloud's newest answer, kept until one begun at least %s after the first without it agrees",
			listed(s.missing), f.settle)
	}
	if len(s.draining) > 0 {
		say(reasonRangesDraining, "%s: draining, taken out when the node's agent reports that no pod holds an address of it", listed(s.draining))
	}
	if len(s.returning) > 0 {
		say(reasonRangesReturning, "%s: shown again, handed out when an answer begun at least %s later agrees", listed(s.returning), f.settle)
	}
	if len(s.waiting) > 0 {
		say(reasonRangesHeld, "%s: added when the node's other pool that still holds it has given it up", listed(s.waiting))
	}
	out.message = strings.Join(says, "; ")
	return out
}

// judge finds out which of the pools that will exist are usable.
func judge(t *thought, out []outcome) {
	all := make([]contender, 0, len(out))
	for i := range out {
		o := &out[i]
		if o.want == nil {
			continue
		}
		c := contender{pool: o.want, derived: o.derived, inSync: o.inSync.status == metav1.ConditionTrue}
		if !o.derived {
			if wrong, ok := t.site.Mistake(o.want); ok {
				c.wrong = fault{wrong.Reason(), wrong.Message + ": " + wrong.Remedy}
			}
		}
		if o.live != nil {
			c.created = o.live.CreationTimestamp
		}
		all = append(all, c)
	}
	wrong := faults(all)
	for i := range out {
		if out[i].want != nil {
			out[i].fault = wrong[out[i].want.Name]
		}
	}
}

// held are the ranges that pools of a node have and should not: another pool of the node does not get them before they
// are given up.
type held map[string][]holding

type holding struct {
	pool   string
	ranges []iprange.Range
}

func heldRanges(w *world, t *thought) held {
	out := held{}
	for name, live := range w.pools {
		planned := t.pools[name]
		if planned != nil && slices.Equal(planned.Spec.Ranges, live.Spec.Ranges) && sameInterface(planned, live) {
			continue // nearly always
		}
		ranges := parseRanges(live.Spec.Ranges)
		if planned != nil && sameInterface(planned, live) {
			ranges = iprange.Subtract(ranges, parseRanges(planned.Spec.Ranges))
		}
		if derives, known := w.derives(live.Spec.NetworkName); len(ranges) > 0 && (derives || !known) {
			out[live.Spec.NodeName] = append(out[live.Spec.NodeName], holding{name, ranges})
		}
	}
	return out
}

// except gives what others than the pool hold on its node.
func (h held) except(name string, f poolFacts) []iprange.Range {
	if len(h) == 0 || f.planned == nil {
		return nil
	}
	var out []iprange.Range
	for _, other := range h[f.planned.Spec.NodeName] {
		if other.pool != name {
			out = append(out, other.ranges...)
		}
	}
	return out
}

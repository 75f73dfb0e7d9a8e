// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// EC2 answers late: an answer may lack what was bound a minute ago, or show what is gone. So a range leaves a pool in
// steps, each of which can be told from what is in the cluster, but for the first, which a restart begins anew:
//
//	shown    the newest snapshot shows it: it is in spec.ranges
//	missing  the newest snapshot lacks it: it stays as it is
//	gone     a snapshot begun at least the settling time after the first that lacked it lacks it too, and so did all
//	         between: it is in spec.draining too, and hands out nothing more
//	drained  the node's agent has seen that, and reports that no address of it is held: it is taken out
//
// It comes back, into a pool that drains it or that it was taken from, when two snapshots so far apart show it.

// sighting is a range, and when the first of the snapshots that agree about it was begun.
type sighting struct {
	iprange.Range
	since time.Time
}

// memory is what is remembered of earlier snapshots, by pool. The zero value remembers nothing.
type memory struct {
	// missing ranges of live pools.
	missing map[string][]sighting
	// returning ranges: shown again, while their pool drains them or has lost them.
	returning map[string][]sighting
	// lost ranges were taken out of their pool at that time.
	lost map[string][]sighting
}

// lostFor is how long a range that was taken out is remembered, in settling times.
const lostFor = 10

// poolFacts is all that a pool's settling depends on.
type poolFacts struct {
	// live pool; nil if there is none.
	live *v1alpha1.UnderlayPool
	// planned pool; nil if the plan has none.
	planned *v1alpha1.UnderlayPool
	// report of the node's agent about the pool; nil if there is none.
	report *v1alpha1.NodePool
	// agent says whether the node has an UnderlayNode at all.
	agent bool
	// begun is when the newest snapshot was begun; settle how far apart two must be.
	begun  time.Time
	settle time.Duration
	// dismissed: the user has deleted the network, so no snapshot is waited for.
	dismissed bool
	// held are ranges which other pools of the node have not given up yet.
	held []iprange.Range
}

// settled is what becomes of a pool.
type settled struct {
	// want is what should exist; nil: nothing, or nothing any more.
	want *v1alpha1.UnderlayPool
	// missing, draining, returning and waiting are what keeps want from being the plan: ranges that are not shown, that
	// are gone and drain, that are shown again but not yet trusted, and that another pool still holds.
	missing, draining, returning, waiting []iprange.Range
}

// inSync says whether the pool is as planned.
func (s settled) inSync() bool {
	return len(s.missing)+len(s.draining)+len(s.returning)+len(s.waiting) == 0
}

// sameInterface says whether two pools are of one interface in one subnet: if not, one cannot become the other, since
// addresses of the old interface must not be handed out on the new one.
func sameInterface(a, b *v1alpha1.UnderlayPool) bool {
	return a.Spec.Interface.ID == b.Spec.Interface.ID && strings.EqualFold(a.Spec.Interface.MACAddress, b.Spec.Interface.MACAddress) &&
		a.Spec.Subnet == b.Spec.Subnet && a.Spec.NetworkName == b.Spec.NetworkName && a.Spec.NodeName == b.Spec.NodeName &&
		a.Spec.IPFamily == b.Spec.IPFamily
}

// settle says what becomes of a pool, and remembers what it needs for the next time.
func (m *memory) settle(name string, f poolFacts) settled {
	if f.live == nil && f.planned == nil {
		m.forget(name)
		return settled{}
	}
	planned := f.planned
	if f.live != nil && planned != nil && !sameInterface(f.live, planned) {
		planned = nil
	}
	if f.live != nil && planned != nil && len(f.live.Spec.Draining) == 0 && slices.Equal(f.live.Spec.Ranges, planned.Spec.Ranges) {
		m.forget(name) // nearly always
		return settled{want: planned}
	}
	var live, draining, shown []iprange.Range
	if f.live != nil {
		live, draining = parseRanges(f.live.Spec.Ranges), parseRanges(f.live.Spec.Draining)
	}
	if planned != nil {
		shown = parseRanges(planned.Spec.Ranges)
	}
	var out settled
	confirmed, doubtful := m.absence(name, iprange.Subtract(live, shown), f)
	// What drains already was gone once: it goes on, though a restart has forgotten why.
	out.draining = slices.Concat(confirmed, iprange.Shared(doubtful, draining))
	out.missing = iprange.Subtract(doubtful, draining)

	out.returning = m.presence(name, shown, draining, f)
	known := iprange.Shared(shown, live)
	out.waiting = iprange.Subtract(iprange.Shared(iprange.Subtract(shown, known), f.held), out.returning)

	done := f.drained(out.draining, draining)
	out.draining = iprange.Subtract(out.draining, done)
	m.lose(name, done, f.begun)
	if f.live == nil && out.inSync() {
		out.want = planned
		return out
	}
	out.want = f.compose(planned, out, known)
	return out
}

// absence keeps count of ranges that the newest snapshot lacks: confirmed ones are gone.
func (m *memory) absence(name string, absent []iprange.Range, f poolFacts) (confirmed, doubtful []iprange.Range) {
	counted := carry(m.missing[name], absent, f.begun)
	put(&m.missing, name, counted)
	for _, s := range counted {
		if f.dismissed || f.begun.Sub(s.since) >= f.settle {
			confirmed = append(confirmed, s.Range)
		} else {
			doubtful = append(doubtful, s.Range)
		}
	}
	return confirmed, doubtful
}

// presence keeps count of ranges that are shown although their pool drains or has lost them, and returns those which
// are not trusted yet.
func (m *memory) presence(name string, shown, draining []iprange.Range, f poolFacts) []iprange.Range {
	lost := m.lost[name]
	suspect := iprange.Merge(iprange.Shared(shown, slices.Concat(draining, rangesOf(lost))))
	counted := carry(m.returning[name], suspect, f.begun)
	var back, trusted []iprange.Range
	for _, s := range counted {
		if f.begun.Sub(s.since) >= f.settle {
			trusted = append(trusted, s.Range)
		} else {
			back = append(back, s.Range)
		}
	}
	put(&m.returning, name, counted)
	lost = slices.DeleteFunc(lost, func(s sighting) bool { return len(iprange.Subtract([]iprange.Range{s.Range}, trusted)) == 0 })
	put(&m.lost, name, lost)
	return back
}

// drained are the parts of gone ranges that no pod holds. The agent says so of a range which it has seen draining; where
// no agent has ever been, nothing was handed out.
func (f poolFacts) drained(gone, draining []iprange.Range) []iprange.Range {
	if f.live == nil {
		return nil
	}
	if !f.agent {
		if f.live.Status.Allocated+f.live.Status.Cooling > 0 {
			return nil // an agent has been here, and what it last counted may still be held
		}
		return gone
	}
	if f.report == nil || f.report.ObservedGeneration < f.live.Generation {
		return nil
	}
	return iprange.Shared(iprange.Shared(gone, draining), parseRanges(f.report.Drained))
}

// compose makes the pool of what is planned and what stays for now. Ranges that stay keep the form in which they are
// written.
func (f poolFacts) compose(planned *v1alpha1.UnderlayPool, s settled, known []iprange.Range) *v1alpha1.UnderlayPool {
	stay := f.staying(s, known)
	var out *v1alpha1.UnderlayPool
	switch {
	case planned != nil:
		out = planned.DeepCopy()
	case len(stay) > 0:
		out = f.live.DeepCopy()
		out.Spec.Ranges, out.Spec.Exclude = nil, nil
	default:
		return nil
	}
	// Planned ranges which are new to the pool and not to be trusted, or held elsewhere, wait outside it.
	outside := slices.Concat(parseRanges(stay), iprange.Subtract(s.returning, known), s.waiting)
	fresh := without(out.Spec.Ranges, outside)
	if room := plan.MaxRanges - len(stay); len(fresh) > room {
		fresh = fresh[:max(0, room)]
	}
	out.Spec.Ranges = slices.Concat(fresh, stay)
	sortRanges(out.Spec.Ranges)
	if f.live == nil {
		return nothingIfEmpty(out)
	}
	out.Spec.Draining = f.asWritten(slices.Concat(s.draining, iprange.Shared(s.returning, parseRanges(f.live.Spec.Draining))))
	sortRanges(out.Spec.Draining)
	kept := iprange.Shared(parseRanges(f.live.Spec.Exclude), slices.Concat(s.missing, s.draining))
	if len(kept) > 0 {
		out.Spec.Exclude = texts(iprange.Merge(slices.Concat(parseRanges(out.Spec.Exclude), kept)))
	}
	if max(len(out.Spec.Ranges), len(out.Spec.Draining), len(out.Spec.Exclude)) > plan.MaxRanges {
		return f.live // runs of single addresses in too many pieces: it stays until whole runs are gone
	}
	return nothingIfEmpty(out)
}

func nothingIfEmpty(p *v1alpha1.UnderlayPool) *v1alpha1.UnderlayPool {
	if len(p.Spec.Ranges) == 0 {
		return nil
	}
	return p
}

// staying are the live ranges which the plan lacks, whole or in part. A range of which nothing drains stays as it is: one
// late answer changes nothing.
func (f poolFacts) staying(s settled, known []iprange.Range) []v1alpha1.Range {
	if f.live == nil {
		return nil
	}
	var out []v1alpha1.Range
	for _, text := range f.live.Spec.Ranges {
		whole := parseRanges([]v1alpha1.Range{text})
		missing := iprange.Shared(s.missing, whole)
		switch untouched := slices.Concat(known, s.missing); {
		case len(missing) > 0 && len(iprange.Subtract(whole, untouched)) == 0:
			out = append(out, text)
		default:
			out = append(out, f.asWritten(slices.Concat(missing, iprange.Shared(s.draining, whole)))...)
		}
	}
	return out
}

// asWritten gives the text of each range: the live pool's where it has the same range.
func (f poolFacts) asWritten(list []iprange.Range) []v1alpha1.Range {
	out := make([]v1alpha1.Range, 0, len(list))
	for _, r := range list {
		text := v1alpha1.Range(r.String())
		for _, candidate := range slices.Concat(f.live.Spec.Ranges, f.live.Spec.Draining) {
			if same, err := iprange.Parse(string(candidate)); err == nil && same == r {
				text = candidate
				break
			}
		}
		out = append(out, text)
	}
	return out
}

func (m *memory) lose(name string, ranges []iprange.Range, at time.Time) {
	for _, r := range iprange.Subtract(ranges, rangesOf(m.lost[name])) {
		put(&m.lost, name, append(m.lost[name], sighting{r, at}))
	}
}

// forget what is no longer of use, once for each snapshot: all of pools that neither exist nor are planned, but for what
// they have lost.
func (m *memory) prune(exists func(name string) bool, begun time.Time, settle time.Duration) {
	for _, counted := range []map[string][]sighting{m.missing, m.returning} {
		maps.DeleteFunc(counted, func(name string, _ []sighting) bool { return !exists(name) })
	}
	for name, lost := range m.lost {
		put(&m.lost, name, slices.DeleteFunc(lost, func(s sighting) bool { return begun.Sub(s.since) > lostFor*settle }))
	}
}

func (m *memory) forget(name string) {
	delete(m.missing, name)
	delete(m.returning, name)
}

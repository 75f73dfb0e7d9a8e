// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// ranges that overlap in parts, as prefixes and runs of single addresses do when some of them go.
func drawRanges(t *rapid.T, label string) []v1alpha1.Range {
	set := map[int]bool{}
	for _, i := range rapid.SliceOfN(rapid.IntRange(0, 11), 0, 8).Draw(t, label) {
		set[i] = true
	}
	var list []iprange.Range
	for i := range 12 {
		if set[i] {
			list = append(list, iprange.Single(netip.AddrFrom4([4]byte{10, 0, 0, byte(16 + i)})))
		}
	}
	if rapid.Bool().Draw(t, label+" merged") {
		list = iprange.Merge(list)
	}
	return texts(list)
}

func drawPool(t *rapid.T, label string) *v1alpha1.UnderlayPool {
	p := &v1alpha1.UnderlayPool{}
	p.Name = "ens5.0.v4.worker1"
	p.Spec = v1alpha1.UnderlayPoolSpec{NetworkName: "ens5", NodeName: "worker1", Subnet: "10.0.0.0/24", IPFamily: v1alpha1.IPv4,
		Interface: v1alpha1.PoolInterface{ID: "eni-1", MACAddress: "02:00:00:00:00:01"}, Ranges: drawRanges(t, label)}
	if len(p.Spec.Ranges) == 0 {
		return nil
	}
	return p
}

// addresses of ranges, as a set.
func addresses(list []v1alpha1.Range) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, r := range parseRanges(list) {
		for a := r.First; ; a = a.Next() {
			out[a] = true
			if a == r.Last {
				break
			}
		}
	}
	return out
}

// truth is the model that settling is held against: for each address, when it was last shown, and last lacking.
type truth struct {
	lackingSince, shownSince map[netip.Addr]time.Time
	// lost addresses were taken out of the pool by an operator that has not been restarted since.
	lost map[netip.Addr]bool
}

func (m *truth) see(begun time.Time, shown map[netip.Addr]bool) {
	for i := range 12 {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(16 + i)})
		if shown[a] {
			delete(m.lackingSince, a)
			if _, ok := m.shownSince[a]; !ok {
				m.shownSince[a] = begun
			}
			continue
		}
		delete(m.shownSince, a)
		if _, ok := m.lackingSince[a]; !ok {
			m.lackingSince[a] = begun
		}
	}
}

// TestSettling plays a pool's life: snapshots that lie, an agent that reports late, an operator that is restarted. No
// address leaves the pool before two snapshots a minute apart have lacked it and the agent, having seen that it drains,
// has reported that nobody holds it; none that is not bound is handed out again on one observation.
func TestSettling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m memory
		model := truth{map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}, map[netip.Addr]bool{}}
		live := drawPool(t, "first")
		if live == nil {
			return
		}
		live.Generation = 1
		now := time.Unix(1_000_000, 0)
		report := &v1alpha1.NodePool{ObservedGeneration: 1}
		for step := range rapid.IntRange(1, 12).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			planned := drawPool(t, "planned")
			shown := map[netip.Addr]bool{}
			if planned != nil {
				shown = addresses(planned.Spec.Ranges)
			}
			model.see(now, shown)
			restarted := rapid.IntRange(0, 9).Draw(t, "restart") == 0
			if restarted {
				m = memory{}
				clear(model.lost)
			}
			if live != nil && rapid.Bool().Draw(t, "agent sees") {
				report = agentReport(t, live)
			}
			f := poolFacts{live: live, planned: planned, report: report, agent: true, begun: now, settle: time.Minute}
			got := m.settle("ens5.0.v4.worker1", f)
			check(t, fmt.Sprintf("step %d (restarted %v)", step, restarted), f, got, model)
			if again := m.settle("ens5.0.v4.worker1", f); !equalWants(again.want, got.want) {
				t.Fatalf("step %d: the same again gives %v instead of %v", step, again.want, got.want)
			}
			live = write(live, got.want)
		}
	})
}

// agentReport has seen the pool as it is, and says of some ranges that they are drained, of too many even.
func agentReport(t *rapid.T, live *v1alpha1.UnderlayPool) *v1alpha1.NodePool {
	out := &v1alpha1.NodePool{ObservedGeneration: live.Generation}
	for _, r := range live.Spec.Ranges {
		if rapid.Bool().Draw(t, "drained") {
			out.Drained = append(out.Drained, string(r))
		}
	}
	return out
}

// write is the API server.
func write(live, want *v1alpha1.UnderlayPool) *v1alpha1.UnderlayPool {
	if want == nil {
		return nil
	}
	out := want.DeepCopy()
	out.Generation = 1
	if live != nil {
		out.Generation = live.Generation
		if !samePool(live, want) {
			out.Generation++
		}
	}
	return out
}

func equalWants(a, b *v1alpha1.UnderlayPool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return samePool(a, b)
}

func check(t *rapid.T, at string, f poolFacts, got settled, model truth) {
	was, wasDraining := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	if f.live != nil {
		was, wasDraining = addresses(f.live.Spec.Ranges), addresses(f.live.Spec.Draining)
	}
	is, draining, shown := map[netip.Addr]bool{}, map[netip.Addr]bool{}, map[netip.Addr]bool{}
	if got.want != nil {
		is, draining = addresses(got.want.Spec.Ranges), addresses(got.want.Spec.Draining)
		if size := iprange.Size(parseRanges(got.want.Spec.Ranges)); size != int64(len(is)) {
			t.Fatalf("%s: an address is listed twice: %v", at, got.want.Spec.Ranges)
		}
	}
	if f.planned != nil {
		shown = addresses(f.planned.Spec.Ranges)
	}
	drained := addresses(apiRanges(f.report.Drained))
	seen := f.live != nil && f.report.ObservedGeneration >= f.live.Generation
	for a := range draining {
		if !is[a] {
			t.Fatalf("%s: %s drains and is not in the pool", at, a)
		}
		if !wasDraining[a] && f.begun.Sub(model.lackingSince[a]) < f.settle {
			t.Fatalf("%s: %s drains after one observation", at, a)
		}
	}
	for a := range was {
		if !is[a] {
			model.lost[a] = true
		}
		if !is[a] && (shown[a] || !wasDraining[a] || !seen || !drained[a]) {
			t.Fatalf("%s: %s has left: shown %v, drained before %v, agent up to date %v, drained %v", at, a, shown[a], wasDraining[a], seen, drained[a])
		}
		if wasDraining[a] && is[a] && !draining[a] && f.begun.Sub(model.shownSince[a]) < f.settle {
			t.Fatalf("%s: %s is handed out again after one observation", at, a)
		}
	}
	for a := range is {
		if !was[a] && !shown[a] {
			t.Fatalf("%s: %s came from nowhere", at, a)
		}
		if !was[a] && model.lost[a] && f.begun.Sub(model.shownSince[a]) < f.settle {
			t.Fatalf("%s: %s came back after one observation", at, a)
		}
		delete(model.lost, a)
	}
	if got.inSync() != (got.want != nil && f.planned != nil && slices.Equal(got.want.Spec.Ranges, f.planned.Spec.Ranges) && len(draining) == 0) &&
		(got.want != nil || f.planned != nil) {
		t.Fatalf("%s: in sync is %v, want %v, planned %v, %+v", at, got.inSync(), got.want, f.planned, got)
	}
}

func apiRanges(list []string) []v1alpha1.Range {
	out := make([]v1alpha1.Range, 0, len(list))
	for _, s := range list {
		out = append(out, v1alpha1.Range(s))
	}
	return out
}

// TestSettlesDown: whatever has happened, a cloud that goes on saying the same and an agent that reports lead to the plan.
func TestSettlesDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m memory
		live, planned := drawPool(t, "live"), drawPool(t, "planned")
		if live != nil {
			live.Generation = 1
			live.Spec.Draining = drawDraining(t, live)
		}
		now := time.Unix(1_000_000, 0)
		for range 8 {
			f := poolFacts{live: live, planned: planned, agent: true, begun: now, settle: time.Minute}
			if live != nil {
				f.report = &v1alpha1.NodePool{ObservedGeneration: live.Generation}
				for _, r := range live.Spec.Draining {
					f.report.Drained = append(f.report.Drained, string(r))
				}
			}
			live = write(live, m.settle("p", f).want)
			now = now.Add(61 * time.Second)
		}
		if !equalWants(live, planned) {
			t.Fatalf("settled at %+v, planned %+v", live, planned)
		}
	})
}

func drawDraining(t *rapid.T, p *v1alpha1.UnderlayPool) []v1alpha1.Range {
	var out []v1alpha1.Range
	for _, r := range p.Spec.Ranges {
		if rapid.Bool().Draw(t, "draining") {
			out = append(out, r)
		}
	}
	return out
}

// TestReplacedInterface: addresses of one interface never become those of another, whatever its name.
func TestReplacedInterface(t *testing.T) {
	live := &v1alpha1.UnderlayPool{Spec: v1alpha1.UnderlayPoolSpec{Interface: v1alpha1.PoolInterface{ID: "eni-1"}, Ranges: []v1alpha1.Range{"10.0.0.16/28"}}}
	planned := live.DeepCopy()
	planned.Spec.Interface.ID = "eni-2"
	planned.Spec.Ranges = []v1alpha1.Range{"10.0.0.32/28"}
	var m memory
	now := time.Unix(1_000_000, 0)
	f := poolFacts{live: live, planned: planned, begun: now, settle: time.Minute}
	if got := m.settle("p", f).want; got == nil || got.Spec.Interface.ID != "eni-1" || !slices.Equal(got.Spec.Ranges, live.Spec.Ranges) {
		t.Fatalf("at first %+v, want the old pool as it was", got)
	}
	f.begun = now.Add(time.Minute)
	if got := m.settle("p", f).want; got != nil { // no agent was ever there
		t.Fatalf("then %+v, want none", got)
	}
	f.live = nil
	if got := m.settle("p", f).want; got == nil || got.Spec.Interface.ID != "eni-2" {
		t.Fatalf("at last %+v, want the new pool", got)
	}
}

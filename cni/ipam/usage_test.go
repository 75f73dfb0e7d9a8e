// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

func TestUsage(t *testing.T) {
	w := newWorld(t, twoInterfaces(true))
	one, six := w.pool(0), w.pool(2)
	one.Ranges = mustRanges("10.0.1.0/28", "10.0.1.16/28")
	six.Ranges = mustRanges("fd00:0:0:0:1::/80")
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		r := request(id)
		r.Families = []nodefile.Family{nodefile.IPv4} // the first interface has most room
		w.addRequest(r)
	}
	w.want(w.add("f"), "10.0.2.0,fd00::1:0:0:0")
	w.del("a", "b")
	w.now += 20 * time.Second
	w.store(func(s *Store) {
		r := request("d")
		r.Families = []nodefile.Family{nodefile.IPv4}
		if _, err := s.Replace(w.node, r, netip.MustParseAddr("10.0.1.3")); err != nil { // gets 10.0.1.5
			t.Error(err)
		}
	})
	one.Exclude = mustRanges("10.0.1.15", "10.0.1.30-10.0.1.31")
	one.Draining = mustRanges("10.0.1.4/31", "10.0.1.16/28")
	w.pool(1).Ranges = mustRanges("10.0.2.1-10.0.2.3") // 10.0.2.0 is held

	usage := func() (u Usage) {
		w.store(func(s *Store) {
			var err error
			if u, err = s.Usage(w.node); err != nil {
				t.Fatal(err)
			}
		})
		return u
	}
	compare := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b iprange.Range) bool { return a == b })}
	want := Usage{
		Pools: []PoolUsage{
			{Pool: "net.0.v4.node", Interface: "eni-0a", Size: 29, Held: 3, Cooling: 2, Quarantined: 1, Draining: 14, Free: 16 - 1 - 2 - 1 - 2 - 1, Rests: 10 * time.Second, Drained: mustRanges("10.0.1.16/28")},
			{Pool: "net.1.v4.node", Interface: "eni-0b", Size: 3, Free: 3},
			{Pool: "net.1.v6.node", Interface: "eni-0b", Size: 1 << 48, Held: 1, Free: 1<<48 - 1},
		},
		Stranded: []Lease{{netip.MustParseAddr("10.0.2.0"), "net.1.v4.node"}},
	}
	if diff := cmp.Diff(want, usage(), compare); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	w.want(want.Pools[0].String(), "pool net.0.v4.node (eni-0a): 29 addresses, 3 held, 2 cooling, 1 in quarantine, 14 draining, 9 free")

	// Held addresses keep a draining range from being drained; released ones, though cooling, do not.
	w.del("d", "e")
	if got := nodefile.Ranges(usage().Pools[0].Drained).Strings(); !slices.Equal(got, []string{"10.0.1.4/31", "10.0.1.16/28"}) {
		t.Errorf("drained: %v", got)
	}
	one.Draining = mustRanges("10.0.1.2/31") // 10.0.1.3 is in quarantine: in use, though not by a pod of ours
	w.del("c")
	if got := usage().Pools[0].Drained; len(got) != 0 {
		t.Errorf("drained: %v", got)
	}
	w.now += 5 * time.Minute
	u := usage()
	if got := u.Pools[0]; len(got.Drained) != 1 || got.Free != 27 || got.Cooling+got.Quarantined+got.Held != 0 || got.Draining != 2 {
		t.Errorf("after all have rested: %+v", got)
	}
	w.pool(1).Allocation = nodefile.AllocationDisabled
	if got := usage().Pools[1]; got.Free != 0 || got.Draining != 3 || !got.Disabled {
		t.Errorf("disabled: %+v", got)
	}
}

// What the counting says is free can be had, and not one address more.
func TestUsageIsWhatCanBeHad(t *testing.T) {
	w := newWorld(t, oneNode(onePool(nodefile.IPv4, "10.0.1.0/28", "10.0.0.0-10.0.0.2")))
	w.add("a")
	w.add("b")
	w.del("a")
	w.pool(0).Exclude = mustRanges("10.0.1.5-10.0.1.7")
	w.pool(0).Draining = mustRanges("10.0.1.8/30")
	var free int64
	w.store(func(s *Store) {
		u, err := s.Usage(w.node)
		if err != nil {
			t.Fatal(err)
		}
		free = u.Pools[0].Free
		had := int64(0)
		for ; ; had++ {
			if _, err = s.Allocate(w.node, request("x"+strings.Repeat("y", int(had)))); err != nil {
				break
			}
		}
		var exhausted *ExhaustedError
		if !errors.As(err, &exhausted) || had != free {
			t.Errorf("%d addresses could be had, %d are free: %v", had, free, err)
		}
		if exhausted.RetryAfter != 30*time.Second || exhausted.Pools[0].Free != 0 {
			t.Errorf("%+v", exhausted)
		}
	})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

func contenderOf(name string, born int, ranges ...v1alpha1.Range) contender {
	p := &v1alpha1.UnderlayPool{}
	p.Name = name
	p.Spec = v1alpha1.UnderlayPoolSpec{NetworkName: "lab", NodeName: name, Ranges: ranges}
	return contender{pool: p, created: metav1.Unix(int64(born), 0)}
}

func TestFaults(t *testing.T) {
	derived := func(c contender) contender { c.derived, c.inSync = true, true; return c }
	wrong := func(c contender) contender { c.wrong = fault{"NodeNotFound", "the cluster has no such node"}; return c }
	excluding := func(c contender, ranges ...v1alpha1.Range) contender { c.pool.Spec.Exclude = ranges; return c }
	bound := func(c contender) contender { c.pool.Spec.NodeName = "same"; return c }
	for name, test := range map[string]struct {
		all  []contender
		want map[string]string // reason and a part of the message, by pool
	}{
		"apart":         {[]contender{contenderOf("a", 1, "10.0.0.0/28"), contenderOf("b", 2, "10.0.0.16/28")}, nil},
		"older wins":    {[]contender{contenderOf("a", 2, "10.0.0.0/28"), contenderOf("b", 1, "10.0.0.8-10.0.0.20")}, map[string]string{"a": "Overlap pool b has 10.0.0.8/29"}},
		"name decides":  {[]contender{contenderOf("b", 1, "10.0.0.1"), contenderOf("a", 1, "10.0.0.1")}, map[string]string{"b": "Overlap pool a has 10.0.0.1"}},
		"derived wins":  {[]contender{contenderOf("a", 1, "10.0.0.0/28"), derived(contenderOf("b", 2, "10.0.0.0/24"))}, map[string]string{"a": "Overlap pool b"}},
		"unborn loses":  {[]contender{{pool: contenderOf("a", 0, "10.0.0.1").pool}, contenderOf("b", 5, "10.0.0.1")}, map[string]string{"a": "Overlap pool b"}},
		"drifted loses": {[]contender{contenderOf("a", 1, "10.0.0.1"), func() contender { c := contenderOf("b", 2, "10.0.0.1"); c.derived = true; return c }()}, map[string]string{"b": "Overlap pool a"}},
		"a loser takes nothing": {[]contender{contenderOf("a", 1, "10.0.0.0-10.0.0.9"), contenderOf("b", 2, "10.0.0.9-10.0.0.20"), contenderOf("c", 3, "10.0.0.20")},
			map[string]string{"b": "Overlap pool a"}},
		"excluded is not shared": {[]contender{contenderOf("a", 1, "10.0.0.0/28"), excluding(contenderOf("b", 2, "10.0.0.8-10.0.0.20"), "10.0.0.8/29")}, nil},
		"order":                  {[]contender{contenderOf("a", 1, "10.0.0.9-10.0.0.2")}, map[string]string{"a": "InvalidRange spec.ranges[0]: range \"10.0.0.9-10.0.0.2\": the first address is behind the last"}},
		"itself twice":           {[]contender{contenderOf("a", 1, "10.0.0.0/28", "10.0.0.3")}, map[string]string{"a": "InvalidRange spec.ranges: 10.0.0.0/28 and 10.0.0.3 overlap"}},
		"same interface":         {[]contender{bound(contenderOf("a", 1, "10.0.0.1")), bound(contenderOf("b", 2, "10.0.0.2"))}, map[string]string{"b": "Duplicate pool a is of the same network"}},
		"wrong takes nothing":    {[]contender{wrong(contenderOf("a", 1, "10.0.0.1")), contenderOf("b", 2, "10.0.0.1")}, map[string]string{"a": "NodeNotFound the cluster"}},
		"IPv6":                   {[]contender{contenderOf("a", 1, "fd00::/80"), contenderOf("b", 2, "fd00::5"), contenderOf("c", 3, "10.0.0.1")}, map[string]string{"b": "Overlap pool a has fd00::5"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(test.all)
			for pool, f := range got {
				if want := test.want[pool]; want == "" || !strings.HasPrefix(f.reason+" "+f.message, want) {
					t.Errorf("pool %s: %s %s, want %q", pool, f.reason, f.message, want)
				}
			}
			for pool := range test.want {
				if _, ok := got[pool]; !ok {
					t.Errorf("pool %s has no fault", pool)
				}
			}
		})
	}
}

// TestNoAddressInTwoUsablePools, and no pool is refused for nothing: each loser overlaps a winner. The order in which the
// pools come does not matter.
func TestNoAddressInTwoUsablePools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []contender
		for i := range rapid.IntRange(0, 8).Draw(t, "pools") {
			c := contenderOf(fmt.Sprint("p", i), rapid.IntRange(0, 3).Draw(t, "born"), drawRanges(t, "ranges")...)
			c.derived, c.inSync = rapid.Bool().Draw(t, "derived"), rapid.Bool().Draw(t, "in sync")
			all = append(all, c)
		}
		got := faults(all)
		for _, a := range all {
			_, lost := got[a.pool.Name]
			beaten := false
			for _, b := range all {
				if _, bLost := got[b.pool.Name]; a.pool == b.pool || bLost {
					continue
				}
				if len(iprange.Shared(parseRanges(a.pool.Spec.Ranges), parseRanges(b.pool.Spec.Ranges))) > 0 {
					beaten = true
				}
			}
			if lost != beaten {
				t.Fatalf("pool %s: lost %v, overlaps a usable one %v", a.pool.Name, lost, beaten)
			}
		}
		rand.New(rand.NewSource(time.Now().UnixNano())).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if d := cmp.Diff(got, faults(all), cmp.AllowUnexported(fault{})); d != "" {
			t.Fatalf("in another order: %s", d)
		}
	})
}

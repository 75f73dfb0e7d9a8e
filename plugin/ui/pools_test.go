// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

func TestCapacityWithoutOperator(t *testing.T) {
	for name, tt := range map[string]struct {
		ranges, exclude []string
		want            int64
	}{
		"prefix":                   {[]string{"10.0.0.16/28"}, nil, 16},
		"excluded":                 {[]string{"10.0.0.16/28"}, []string{"10.0.0.16-10.0.0.19", "10.0.0.31", "10.0.9.0/24"}, 11},
		"overlapping ranges":       {[]string{"10.0.0.16/28", "10.0.0.20-10.0.0.35"}, nil, 20},
		"first-last and one":       {[]string{"10.0.0.4-10.0.0.9", "10.0.0.40"}, nil, 7},
		"IPv6 prefix":              {[]string{"fd00::/80"}, nil, 1 << 48},
		"more than can be counted": {[]string{"fd00::/64", "fd01::/64"}, nil, iprange.MaxSize},
		"unreadable":               {[]string{"nonsense", "10.0.0.1"}, []string{"more"}, 1},
		"none":                     {nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := pool("n", "a", 0, v1alpha1.IPv4, "10.0.0.0/8", "10.0.0.1", tt.ranges...)
			p.Spec.Exclude = toRanges(tt.exclude)
			if got := capacityOf(&p); got != tt.want {
				t.Errorf("capacity %d, want %d", got, tt.want)
			}
		})
	}
}

func TestPoolState(t *testing.T) {
	condition := func(name string, status metav1.ConditionStatus) func(*v1alpha1.UnderlayPool) {
		return func(p *v1alpha1.UnderlayPool) {
			p.Status.Conditions = append(p.Status.Conditions, metav1.Condition{Type: name, Status: status})
		}
	}
	used := func(n int64) func(*v1alpha1.UnderlayPool) {
		return func(p *v1alpha1.UnderlayPool) { observe(p, n, 0) }
	}
	disabled := func(p *v1alpha1.UnderlayPool) { p.Spec.Allocation = v1alpha1.AllocationDisabled }
	draining := func(p *v1alpha1.UnderlayPool) { p.Spec.Draining = toRanges([]string{"10.0.0.16/28"}) }
	type changes []func(*v1alpha1.UnderlayPool)
	for name, tt := range map[string]struct {
		changes changes
		want    string
	}{
		"planned":                       {changes{}, ""},
		"in use":                        {changes{used(3), condition("Valid", "True"), condition("InSync", "True")}, ""},
		"no address left":               {changes{used(16)}, "exhausted"},
		"no address left, says status":  {changes{used(3), condition("Exhausted", "True")}, "exhausted"},
		"not exhausted, says status":    {changes{used(16), condition("Exhausted", "False")}, ""},
		"disabled gives no address":     {changes{used(16), disabled}, "disabled"},
		"draining":                      {changes{used(3), draining}, "draining"},
		"invalid and draining":          {changes{used(3), draining, condition("Valid", "False")}, "invalid, draining"},
		"unknown validity is usable":    {changes{used(3), condition("Valid", "Unknown")}, ""},
		"out of sync, without operator": {changes{condition("InSync", "False")}, "out of sync"},
	} {
		t.Run(name, func(t *testing.T) {
			p := walkthroughPools()[1]
			for _, change := range tt.changes {
				change(&p)
			}
			if got := poolState(&p, usageOf(&p)); got.text != tt.want {
				t.Errorf("state %q, want %q", got.text, tt.want)
			}
		})
	}
}

// TestPoolsInAnyOrder: the order of the input does not matter, and the input stays as it is.
func TestPoolsInAnyOrder(t *testing.T) {
	draw := func(pools []v1alpha1.UnderlayPool) string {
		var out bytes.Buffer
		NewScreen(&out, Options{Width: 120}).Pools(pools, PoolOptions{})
		return out.String()
	}
	want := draw(fleetPools())
	for seed := range uint64(20) {
		pools := fleetPools()
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(pools), func(i, j int) { pools[i], pools[j] = pools[j], pools[i] })
		first := pools[0].Name
		if got := draw(pools); got != want {
			t.Fatalf("shuffled by %d:\n%s\nwant\n%s", seed, got, want)
		}
		if pools[0].Name != first {
			t.Fatal("the caller's list was sorted")
		}
	}
}

func TestBar(t *testing.T) {
	s := NewScreen(io.Discard, Options{Getenv: func(string) string { return "" }})
	for name, tt := range map[string]struct {
		usage usage
		want  string
	}{
		"unknown":        {usage{capacity: 16}, ""},
		"empty":          {usage{known: true, capacity: 16, free: 16}, "..........   0%"},
		"hardly used":    {usage{known: true, capacity: 1 << 48, used: 1, free: 1<<48 - 1}, "#.........  <1%"},
		"half":           {usage{known: true, capacity: 16, used: 8, free: 8}, "#####.....  50%"},
		"all but one":    {usage{known: true, capacity: 1000, used: 999, free: 1}, "#########.  99%"},
		"full":           {usage{known: true, capacity: 16, used: 16}, "########## 100%"},
		"more than full": {usage{known: true, capacity: 16, used: 20}, "########## 100%"},
		"no capacity":    {usage{known: true}, "..........   0%"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.bar(tt.usage).text; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// manyPools are n pools of a large cluster.
func manyPools(n int) []v1alpha1.UnderlayPool {
	pools := make([]v1alpha1.UnderlayPool, n)
	for i := range pools {
		node := fmt.Sprintf("ip-10-%d-%d-1.eu-central-1.compute.internal", i/4/250, i/4%250)
		if i%2 == 0 {
			pools[i] = pool("ens5", node, int32(i/2%2), v1alpha1.IPv4, "10.0.0.0/16", "10.0.0.1", "10.0.0.16/28", "10.0.0.64/28")
		} else {
			pools[i] = pool("ens5", node, int32(i/2%2), v1alpha1.IPv6, "fd00::/64", "fe80:ec2::1", "fd00::1:0:0:0/80")
		}
		observe(&pools[i], int64(i%16), 0)
	}
	return pools
}

func TestPoolsOfALargeCluster(t *testing.T) {
	var out bytes.Buffer
	NewScreen(&out, Options{Width: 140}).Pools(manyPools(20_000), PoolOptions{})
	if lines := strings.Count(out.String(), "\n"); lines != 20_000+4 {
		t.Errorf("%d lines, want one per pool, a header, a gap and two totals", lines)
	}
	if !strings.Contains(out.String(), "10,000 pools") {
		t.Error("totals do not count 10,000 pools of a family")
	}
}

func BenchmarkPools(b *testing.B) {
	for _, n := range []int{1000, 20_000} {
		pools := manyPools(n)
		for _, columns := range []int{0, 140} {
			b.Run(fmt.Sprintf("%d/width=%d", n, columns), func(b *testing.B) {
				s := NewScreen(io.Discard, Options{Width: columns, Color: ColorAlways})
				for b.Loop() {
					s.Pools(pools, PoolOptions{Wide: true})
				}
			})
		}
	}
}

func BenchmarkChanges(b *testing.B) {
	changes := manyChanges(10_000)
	s := NewScreen(io.Discard, Options{Width: 140, Color: ColorAlways})
	for b.Loop() {
		s.Changes(changes, ChangeOptions{All: true})
	}
}

func BenchmarkFindings(b *testing.B) {
	findings := fleetFindings()
	for i := range 10_000 {
		f := findings[i%len(findings)]
		f.Object = fmt.Sprintf("node/%d", i)
		findings = append(findings, f)
	}
	s := NewScreen(io.Discard, Options{Width: 140, Color: ColorAlways})
	for b.Loop() {
		s.Findings(findings)
	}
}

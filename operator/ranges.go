// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"slices"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// carry keeps since when each part of now has been seen, and begins to count the new parts.
func carry(before []sighting, now []iprange.Range, begun time.Time) []sighting {
	var out []sighting
	fresh := now
	for _, s := range before {
		for _, part := range iprange.Shared(now, []iprange.Range{s.Range}) {
			out = append(out, sighting{part, s.since})
		}
		fresh = iprange.Subtract(fresh, []iprange.Range{s.Range})
	}
	for _, r := range fresh {
		out = append(out, sighting{r, begun})
	}
	return out
}

func put(m *map[string][]sighting, name string, list []sighting) {
	if len(list) == 0 {
		delete(*m, name)
		return
	}
	if *m == nil {
		*m = map[string][]sighting{}
	}
	(*m)[name] = list
}

func rangesOf(list []sighting) []iprange.Range {
	out := make([]iprange.Range, 0, len(list))
	for _, s := range list {
		out = append(out, s.Range)
	}
	return out
}

// without leaves the ranges as they are written, but for those that lose a part.
func without(list []v1alpha1.Range, holes []iprange.Range) []v1alpha1.Range {
	if len(holes) == 0 {
		return list
	}
	var out []v1alpha1.Range
	for _, text := range list {
		r := parseRanges([]v1alpha1.Range{text})
		left := iprange.Subtract(r, holes)
		if slices.Equal(r, left) {
			out = append(out, text)
			continue
		}
		out = append(out, texts(left)...)
	}
	return out
}

// parseRanges leaves out what cannot be read: overlap.go tells of that.
func parseRanges[S ~string](list []S) []iprange.Range {
	out := make([]iprange.Range, 0, len(list))
	for _, text := range list {
		if r, err := iprange.Parse(string(text)); err == nil {
			out = append(out, r)
		}
	}
	return out
}

func texts(list []iprange.Range) []v1alpha1.Range {
	out := make([]v1alpha1.Range, 0, len(list))
	for _, r := range list {
		out = append(out, v1alpha1.Range(r.String()))
	}
	return out
}

// sortRanges orders as the planner does, by first address.
func sortRanges(list []v1alpha1.Range) {
	slices.SortFunc(list, func(a, b v1alpha1.Range) int {
		left, right := parseRanges([]v1alpha1.Range{a}), parseRanges([]v1alpha1.Range{b})
		if len(left) == 0 || len(right) == 0 {
			return cmp.Compare(len(left), len(right))
		}
		return left[0].Compare(right[0])
	})
}

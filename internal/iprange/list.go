// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package iprange

import (
	"net/netip"
	"slices"
)

// Merge makes ranges normal in place, and returns what is left of them: sorted, those which overlap or touch made one.
// Invalid ranges vanish.
func Merge(ranges []Range) []Range {
	ranges = slices.DeleteFunc(ranges, func(r Range) bool { return !r.IsValid() })
	slices.SortFunc(ranges, Range.Compare)
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && touches(merged[n-1], r) {
			if merged[n-1].Last.Less(r.Last) {
				merged[n-1].Last = r.Last
			}
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// touches says whether b, which does not begin before a, overlaps a or follows it without a gap.
func touches(a, b Range) bool {
	if a.Is4() != b.Is4() {
		return false
	}
	return !a.Last.Less(b.First) || a.Last.Next() == b.First
}

// Subtract is what of ranges is in none of holes. Ranges that no hole touches stay as they are, in their order, with
// neighbours apart; holes need no order.
func Subtract(ranges, holes []Range) []Range {
	if len(holes) == 0 {
		return slices.Clone(ranges)
	}
	holes = Merge(slices.Clone(holes))
	left := make([]Range, 0, len(ranges))
	for _, r := range ranges {
		for _, hole := range holes {
			if !r.Overlaps(hole) {
				continue
			}
			before, after := r.Subtract(hole)
			if before.IsValid() {
				left = append(left, before)
			}
			r = after
		}
		if r.IsValid() {
			left = append(left, r)
		}
	}
	return left
}

// Shared are the parts of a that are in b, in the order of a; where ranges of b overlap, so do they.
func Shared(a, b []Range) []Range {
	var out []Range
	for _, r := range a {
		for _, o := range b {
			if part, ok := r.Intersect(o); ok {
				out = append(out, part)
			}
		}
	}
	return out
}

// Size counts the addresses of ranges that do not overlap, up to MaxSize.
func Size(ranges []Range) int64 {
	var sum int64
	for _, r := range ranges {
		if sum += r.Size(); sum >= MaxSize {
			return MaxSize
		}
	}
	return sum
}

// Contains says whether a is in one of ranges, which need no order.
func Contains(ranges []Range, a netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(r Range) bool { return r.Contains(a) })
}

// ByFamily reads texts, and leaves out what cannot be read: for lists whose reader has refused that before.
func ByFamily(texts []string) (v4, v6 []Range) {
	for _, text := range texts {
		r, err := Parse(text)
		switch {
		case err != nil:
		case r.Is4():
			v4 = append(v4, r)
		default:
			v6 = append(v6, r)
		}
	}
	return v4, v6
}

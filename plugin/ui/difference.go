// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"unicode/utf8"
)

// cutDifference shortens two values to columns each so that what differs stays in sight: what both begin and end with is
// left out first, on both sides alike, and then the middle of what differs.
func (s *symbols) cutDifference(a, b string, columns int) (string, string) {
	start := commonStart(a, b)
	end := commonEnd(a[len(start):], b[len(start):])
	onlyA, onlyB := a[len(start):len(a)-len(end)], b[len(start):len(b)-len(end)]
	longer := max(width(onlyA), width(onlyB))
	around := max(columns-longer-2*width(s.ellipsis), 0)
	after := min(width(end), around/2)
	before := min(width(start), around-after)
	after = min(width(end), around-before)
	if before < width(start) {
		start = s.ellipsis + tail(start, before)
	}
	if after < width(end) {
		end = head(end, after) + s.ellipsis
	}
	short := func(text, middle string) string {
		if width(text) <= columns {
			return text
		}
		return s.cutMiddle(start+middle+end, columns)
	}
	return short(a, onlyA), short(b, onlyB)
}

func commonStart(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	for i > 0 && i < len(a) && !utf8.RuneStart(a[i]) {
		i--
	}
	return a[:i]
}

func commonEnd(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[len(a)-1-i] == b[len(b)-1-i] {
		i++
	}
	for i > 0 && !utf8.RuneStart(a[len(a)-i]) {
		i--
	}
	return a[len(a)-i:]
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"unicode/utf8"
)

// cutDifference shortens two values to columns each so that what differs stays in sight: what both begin and end with is
// left out first, on both sides alike, and then the middle of what differs.
func (s *symbols) cutDifference(a, b string, columns int) (string, string) {
	start := len(commonStart(a, b))
	end := len(commonEnd(a[start:], b[start:]))
	longer := max(width(a[start:len(a)-end]), width(b[start:len(b)-end]))
	around := max(columns-longer-2*width(s.ellipsis), 0) / 2
	short := func(text string) string {
		if width(text) <= columns {
			return text
		}
		from, to := backward(text, start, around), forward(text, len(text)-end, around)
		if to == len(text) { // what the end does not need is the start's
			from = backward(text, start, 2*around-end)
		}
		if from == 0 {
			to = forward(text, len(text)-end, 2*around-start)
		}
		out := text[from:to]
		if from > 0 {
			out = s.ellipsis + out
		}
		if to < len(text) {
			out += s.ellipsis
		}
		return s.cutMiddle(out, columns)
	}
	return short(a), short(b)
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

// backward and forward give the position n bytes from i, at the start of a character and within text.
func backward(text string, i, n int) int {
	for i = max(i-n, 0); i > 0 && !utf8.RuneStart(text[i]); {
		i--
	}
	return i
}

func forward(text string, i, n int) int {
	for i = min(i+n, len(text)); i < len(text) && !utf8.RuneStart(text[i]); {
		i++
	}
	return i
}

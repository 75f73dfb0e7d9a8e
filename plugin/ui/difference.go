// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"unicode/utf8"
)

// context is how many characters stay around a difference.
const context = 12

// cutDifference shortens two values to columns each so that what differs stays in sight: first what both begin or end
// with is left out, then the middle.
func (s *symbols) cutDifference(a, b string, columns int) (string, string) {
	if width(a) <= columns && width(b) <= columns {
		return a, b
	}
	start := len(commonStart(a, b))
	end := len(commonEnd(a[start:], b[start:]))
	short := func(text string) string {
		if width(text) <= columns {
			return text
		}
		from, to := start, len(text)-end
		left, right := "", ""
		if before := backward(text, from, context); before > 0 {
			left, from = s.ellipsis, before
		} else {
			from = 0
		}
		if after := forward(text, to, context); after < len(text) {
			right, to = s.ellipsis, after
		} else {
			to = len(text)
		}
		return s.cutMiddle(left+text[from:to]+right, columns)
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

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"strings"
)

// String names the kind as messages do.
func (k kind) String() string {
	switch k {
	case boolean:
		return "the boolean"
	case number:
		return "the number"
	case text:
		return "the text"
	case list:
		return "a list"
	case object:
		return "an object"
	default:
		return "null"
	}
}

// count writes "1 item", "2 items".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// choices lists the allowed words, after the one that is meant if it can be guessed.
func choices(word string, allowed []string) string {
	all := " allowed: " + strings.Join(allowed, ", ")
	if near := nearest(word, allowed); near != "" {
		return "; did you mean " + near + "?" + all
	}
	return ";" + all
}

// nearest guesses which word was meant: one with few letters changed, or one that begins alike; empty when none is near.
func nearest(word string, allowed []string) string {
	const longest = 64 // of our words; bounds the work on nonsense
	if len(word) > longest {
		return ""
	}
	word = strings.ToLower(word)
	best, distance := "", 1+max(1, len(word)/3)
	for _, candidate := range allowed {
		lower := strings.ToLower(candidate)
		d := editDistance(word, lower)
		if len(word) >= 3 && (strings.HasPrefix(lower, word) || strings.HasPrefix(word, lower)) {
			d = min(d, 1)
		}
		if d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours that make b of a.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			substitute := last[j]
			if a[i] != b[j] {
				substitute++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, substitute)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// unique reports items that have the same identity as an earlier one; an empty identity is left alone. What is the
// field, below each item, that should differ; empty when the items themselves are to.
func unique(rep *report, items []*value, what string, identity func(*value) string) {
	seen := make(map[string]place, len(items))
	for i, item := range items {
		id := identity(item)
		if id == "" {
			continue
		}
		at, known := seen[id]
		if !known {
			seen[id] = item.place
			continue
		}
		rep.enterItem(i)
		if what == "" {
			rep.here(item.place, "%s is here twice, first on line %d: remove one", quote(id), at.line)
		} else {
			rep.here(item.place, "%s %s is here twice, first on line %d", what, quote(id), at.line)
		}
		rep.leave()
	}
}

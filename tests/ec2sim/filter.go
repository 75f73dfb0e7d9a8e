// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"maps"
	"slices"
	"strings"
)

// maxFilterValues that EC2 takes in all filters of one call.
const maxFilterValues = 200

// fields gives the values of one thing by the name of a filter. A filter matches when any value matches.
type fields[T any] map[string]func(T) []string

// query is the filters of a request: all must match.
type query[T any] []func(T) bool

// readFilters reads Filter.N.Name and Filter.N.Value.M.
func readFilters[T any](p *params, known fields[T], tags func(T) map[string]string) (query[T], error) {
	var q query[T]
	total := 0
	for i := 1; ; i++ {
		prefix := indexed("Filter", i)
		name := p.text(prefix + ".Name")
		values := p.list(prefix + ".Value")
		if name == "" && len(values) == 0 {
			return q, nil
		}
		if total += len(values); total > maxFilterValues {
			return nil, filterLimitExceeded()
		}
		get, ok := known[name]
		switch key, isTag := strings.CutPrefix(name, "tag:"); {
		case isTag:
			get = func(item T) []string {
				if value, ok := tags(item)[key]; ok {
					return []string{value}
				}
				return nil
			}
		case name == "tag-key":
			get = func(item T) []string { return slices.Collect(maps.Keys(tags(item))) }
		case !ok:
			return nil, invalidFilter(name)
		}
		match := anyOf(values)
		q = append(q, func(item T) bool { return slices.ContainsFunc(get(item), match) })
	}
}

func (q query[T]) match(item T) bool {
	for _, filter := range q {
		if !filter(item) {
			return false
		}
	}
	return true
}

// anyOf matches exact values by a set, and the others as patterns.
func anyOf(values []string) func(string) bool {
	exact := map[string]bool{}
	var patterns []string
	for _, value := range values {
		if strings.ContainsAny(value, `*?\`) {
			patterns = append(patterns, value)
		} else {
			exact[value] = true
		}
	}
	return func(s string) bool {
		return exact[s] || slices.ContainsFunc(patterns, func(p string) bool { return matchPattern(p, s) })
	}
}

// matchPattern knows * for any characters, ? for one, and \ to take the next one as it is. On a mismatch it lets the last
// star take one character more, so that the time is bounded by the product of the lengths.
func matchPattern(pattern, s string) bool {
	var afterStar, rest string
	starred := false
	for s != "" || pattern != "" {
		if pattern != "" && pattern[0] == '*' {
			pattern = pattern[1:]
			afterStar, rest, starred = pattern, s, true
			continue
		}
		if width := matchOne(pattern, s); width > 0 {
			pattern, s = pattern[width:], s[1:]
			continue
		}
		if !starred || rest == "" {
			return false
		}
		rest = rest[1:]
		pattern, s = afterStar, rest
	}
	return true
}

// matchOne says how much of the pattern stands for the first character of s; 0 when it does not match.
func matchOne(pattern, s string) int {
	switch {
	case pattern == "" || s == "":
		return 0
	case pattern[0] == '?':
		return 1
	case pattern[0] == '\\' && len(pattern) > 1 && pattern[1] == s[0]:
		return 2
	case pattern[0] == s[0] && (pattern[0] != '\\' || len(pattern) == 1):
		return 1
	default:
		return 0
	}
}

// one is a filter's value, or none when it is empty.
func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func textsOf[T interface{ String() string }](items []T) []string {
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, item.String())
	}
	return out
}

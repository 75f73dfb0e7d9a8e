// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// Severity says how bad a finding is.
type Severity string

// The severities, worst first.
const (
	// Error: pods will fail, or addresses would be wrong.
	Error Severity = "error"
	// Warning: it works now, but something is amiss.
	Warning Severity = "warning"
	// Info: good to know.
	Info Severity = "info"
)

// Rank orders severities, worst first, from zero.
func (s Severity) Rank() int {
	switch s {
	case Error:
		return 0
	case Warning:
		return 1
	default:
		return 2
	}
}

// Finding is one thing a check has to say. Its ID is stable and has a section in docs/checks.md.
type Finding struct {
	// ID reads, and is stable: kernel-too-old.
	ID string `json:"id"`
	// Severity of the finding.
	Severity Severity `json:"severity"`
	// Object that the finding is about, as kind/name: node/worker1, interface/eni-0a (worker1), subnet/subnet-a.
	Object string `json:"object"`
	// Message says what is wrong, with the numbers.
	Message string `json:"message"`
	// Remedy says what to do next.
	Remedy string `json:"remedy"`
}

// SortFindings orders findings by severity, id, object and message, in place.
func SortFindings(findings []Finding) {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.Rank(), b.Severity.Rank()), cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message))
	})
}

// Count is a number with its noun: 1 node, 5,000 nodes.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	plural := "s"
	if strings.HasSuffix(noun, "s") || strings.HasSuffix(noun, "x") {
		plural = "es"
	}
	return thousands(n) + " " + noun + plural
}

// Some names the first three, and counts the others.
func Some(names []string) string {
	const shown = 3
	if len(names) <= shown+1 { // "and 1 more" is no shorter than the name
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:shown], ", "), thousands(len(names)-shown))
}

// SomeRanges does so with ranges.
func SomeRanges(ranges []iprange.Range) string {
	names := make([]string, 0, len(ranges))
	for _, r := range ranges {
		names = append(names, r.String())
	}
	return Some(names)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

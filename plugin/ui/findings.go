// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Findings draws what checks have to say, the worst first, and a summary. Findings with the same id and remedy stand
// together.
func (s *Screen) Findings(findings []plan.Finding) {
	p := s.page()
	p.findings(findings)
	p.print()
}

func (p *page) findings(findings []plan.Finding) {
	s := p.screen
	if len(findings) == 0 {
		p.line(span{s.symbols.ok, good}, span{"No findings", good})
		return
	}
	findings = slices.Clone(findings)
	slices.SortStableFunc(findings, func(a, b plan.Finding) int {
		return cmp.Or(
			cmp.Compare(severityRank(a.Severity), severityRank(b.Severity)),
			cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Remedy, b.Remedy),
			cmp.Compare(a.Object, b.Object),
			cmp.Compare(a.Message, b.Message),
		)
	})
	for rest := findings; len(rest) > 0; {
		first := rest[0]
		n := slices.IndexFunc(rest, func(f plan.Finding) bool {
			return f.Severity != first.Severity || f.ID != first.ID || f.Remedy != first.Remedy
		})
		if n < 0 {
			n = len(rest)
		}
		p.findingGroup(rest[:n])
		rest = rest[n:]
	}
	p.line(s.findingSummary(findings)...)
}

// findingGroup draws findings of one id and remedy.
func (p *page) findingGroup(group []plan.Finding) {
	const indent, hanging = 4, 6
	symbols := &p.screen.symbols
	first := group[0]
	symbol, look := symbols.severity(first.Severity)
	severity := symbols.clean(string(first.Severity))
	p.line(span{symbol, look}, span{severity, look}, span{}, span{symbols.clean(first.ID), heading})
	for _, f := range group {
		p.spaces(indent)
		p.flow(hanging, span{symbols.clean(f.Object) + ":", name}, span{symbols.prose(f.Message), plain})
	}
	if first.Remedy != "" {
		p.spaces(indent)
		p.flow(hanging, span{symbols.arrow, good}, span{symbols.prose(first.Remedy), plain})
	}
	p.end()
}

func (s *Screen) findingSummary(findings []plan.Finding) []span {
	var spans []span
	for severity, n := range countBySeverity(findings) {
		_, look := s.symbols.severity(severity)
		noun := s.symbols.clean(string(severity))
		text := plan.Count(n, noun)
		if severity == plan.Info {
			text = thousands(n) + " info" // which has no plural
		}
		spans = append(spans, span{text, look})
	}
	for i := range spans[:len(spans)-1] {
		spans[i].text += ","
	}
	return spans
}

// countBySeverity yields each severity that occurs, in the order of the findings, and how often.
func countBySeverity(findings []plan.Finding) func(yield func(plan.Severity, int) bool) {
	return func(yield func(plan.Severity, int) bool) {
		for rest := findings; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(f plan.Finding) bool { return f.Severity != rest[0].Severity })
			if n < 0 {
				n = len(rest)
			}
			if !yield(rest[0].Severity, n) {
				return
			}
			rest = rest[n:]
		}
	}
}

func severityRank(severity plan.Severity) int {
	ranks := []plan.Severity{plan.Error, plan.Warning, plan.Info}
	if i := slices.Index(ranks, severity); i >= 0 {
		return i
	}
	return len(ranks)
}

func (s *symbols) severity(severity plan.Severity) (string, ink) {
	switch severity {
	case plan.Error:
		return s.failed, bad
	case plan.Warning:
		return s.warning, caution
	}
	return s.info, name
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strings"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Title draws a heading above what follows.
func (s *Screen) Title(text string) {
	p := s.page()
	p.line(span{s.symbols.prose(text), heading})
	p.print()
}

// Blank draws an empty line.
func (s *Screen) Blank() { s.print("\n") }

// Note says something secondary.
func (s *Screen) Note(text string) { s.say(s.symbols.info, dim, text, dim) }

// Success says that something is done.
func (s *Screen) Success(text string) { s.say(s.symbols.ok, good, text, plain) }

// Warning says that something is amiss.
func (s *Screen) Warning(text string) { s.say(s.symbols.warning+" warning:", caution, text, plain) }

// Failure says why something could not be done.
func (s *Screen) Failure(err error) {
	p := s.page()
	p.failure(err, span{"error:", bad})
	p.print()
}

// failure writes an error; each of its lines, as joined errors have, is one.
func (p *page) failure(err error, lead ...span) {
	first, rest, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	p.line(append(lead, span{p.screen.symbols.prose(first), plain})...)
	for line := range strings.Lines(rest) {
		p.spaces(2)
		p.flow(4, span{p.screen.symbols.prose(line), plain})
	}
}

func (s *Screen) say(lead string, leadInk ink, text string, textInk ink) {
	p := s.page()
	p.line(span{lead, leadInk}, span{s.symbols.prose(text), textInk})
	p.print()
}

// Fact is a line of a summary.
type Fact struct{ Name, Value string }

// Summary draws facts below each other, as what init did.
func (s *Screen) Summary(facts ...Fact) {
	names := 0
	for _, f := range facts {
		names = max(names, width(s.symbols.prose(f.Name)))
	}
	if s.width > 0 {
		names = min(names, s.width/2)
	}
	p := s.page()
	for _, f := range facts {
		label := s.symbols.cut(s.symbols.prose(f.Name), names)
		p.paint(label, dim)
		p.spaces(names - width(label) + gap)
		p.flow(p.at, span{s.symbols.prose(f.Value), plain})
	}
	p.print()
}

// CheckRow is a check as `check --list` shows it.
type CheckRow struct {
	ID       string
	Severity plan.Severity
	Title    string
}

// Checks draws the list of checks.
func (s *Screen) Checks(checks []CheckRow) {
	t := table{columns: []column{{head: "ID", want: 32}, {head: "SEVERITY"}, {head: "TITLE", wrap: true}}}
	for _, c := range checks {
		_, look := s.symbols.severity(c.Severity)
		t.rows = append(t.rows, row{cells: []cell{
			{s.symbols.clean(c.ID), name},
			{s.symbols.clean(string(c.Severity)), look},
			{s.symbols.prose(c.Title), plain},
		}})
	}
	p := s.page()
	t.write(p)
	p.print()
}

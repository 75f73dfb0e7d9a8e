// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"errors"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Note says something secondary.
func (s *Screen) Note(text string) {
	p := s.page()
	p.line(span{s.symbols.info, dim}, span{s.symbols.prose(text), dim})
	p.print()
}

// Say says something as it is, such as why a command could not run. On a terminal its lines end between words.
func (s *Screen) Say(text string) {
	p := s.page()
	p.failure(errors.New(text))
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

// Width of the screen in columns; 0 is unlimited.
func (s *Screen) Width() int { return s.width }

// Fold has the paragraphs of a text fit the screen. They are apart by an empty line. Where there is no limit, the text stays as it is.
func (s *Screen) Fold(text string) string {
	if s.width == 0 {
		return text
	}
	p := s.page()
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			p.end()
		}
		p.flow(0, span{s.symbols.prose(paragraph), plain})
	}
	return strings.TrimSuffix(p.text.String(), "\n")
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

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
func (s *Screen) Failure(err error) { s.say("error:", bad, err.Error(), plain) }

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
		p.flow(names+gap, names+gap, span{s.symbols.prose(f.Value), plain})
	}
	p.print()
}

// Command is something to run, and why.
type Command struct{ Line, Why string }

// Next draws commands to run next. A command is never cut: where it does not fit it goes on in the next line, as a
// shell takes it.
func (s *Screen) Next(commands ...Command) {
	if len(commands) == 0 {
		return
	}
	const indent = 2
	lines := 0
	for _, c := range commands {
		lines = max(lines, width(s.symbols.prose(c.Line)))
	}
	p := s.page()
	p.line(span{"Next:", heading})
	aligned := s.width <= 0 || indent+lines+gap+24 <= s.width
	for _, c := range commands {
		line, why := s.symbols.prose(c.Line), s.symbols.prose(c.Why)
		p.spaces(indent)
		if aligned {
			p.paint(line, name)
			if why == "" {
				p.WriteByte('\n')
				continue
			}
			p.spaces(lines - width(line) + gap)
			p.flow(indent+lines+gap, indent+lines+gap, span{why, dim})
			continue
		}
		p.command(line, indent)
		if why != "" {
			p.spaces(indent + 4)
			p.flow(indent+4, indent+4, span{why, dim})
		}
	}
	p.print()
}

// command writes a shell command, with a backslash where a line ends early.
func (p *page) command(line string, indent int) {
	at, first := indent, true
	for word := range strings.FieldsSeq(line) {
		switch {
		case first:
			first = false
		case at+1+width(word)+2 > p.screen.width: // two for the backslash
			p.WriteString(" \\\n")
			p.spaces(indent + 4)
			at = indent + 4
		default:
			p.WriteByte(' ')
			at++
		}
		p.paint(word, name)
		at += width(word)
	}
	p.WriteByte('\n')
}

// CheckRow is a check as `check --list` shows it.
type CheckRow struct {
	ID       string
	Severity plan.Severity
	Title    string
}

// Checks draws the list of checks.
func (s *Screen) Checks(checks []CheckRow) {
	t := table{columns: []column{{head: "ID", want: 32}, {head: "SEVERITY"}, {head: "TITLE"}}}
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

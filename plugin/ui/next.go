// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import "strings"

// Command is something to run, and why.
type Command struct{ Line, Why string }

// Next draws commands to run next. A command is never cut, so that it can be copied: where it does not fit it goes on in
// the next line, as a shell takes it.
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
	p.end()
	p.line(span{"Next:", heading})
	aligned := s.width <= 0 || indent+lines+gap+leastText <= s.width
	for _, c := range commands {
		line, why := s.symbols.prose(c.Line), s.symbols.prose(c.Why)
		p.spaces(indent)
		if aligned {
			p.paint(line, name)
			p.spaces(lines - width(line) + gap)
			p.flow(p.at, span{why, dim})
			continue
		}
		p.command(line, indent)
		if why != "" {
			p.spaces(indent + 4)
			p.flow(p.at, span{why, dim})
		}
	}
	p.print()
}

// command writes a shell command, with a backslash where a line ends early. Between words, and in words wider than the
// screen, that changes nothing for the shell. In quotes it would: what is quoted stays whole, even if it is wider.
func (p *page) command(line string, indent int) {
	limit := p.width - len(` \`)
	for i, word := range shellWords(line) {
		switch {
		case i == 0:
		case p.at+1+width(word) > limit:
			p.paint(" \\", plain)
			p.end()
			p.spaces(indent + 4)
		default:
			p.spaces(1)
		}
		for p.at+width(word) > limit && !strings.ContainsAny(word, `'"`) {
			piece := head(word, limit-p.at)
			if piece == "" {
				break
			}
			p.paint(piece, name)
			p.paint("\\", plain)
			p.end()
			word = word[len(piece):]
		}
		p.paint(word, name)
	}
	p.end()
}

// shellWords splits a command at the spaces that are not quoted.
func shellWords(line string) []string {
	quote := rune(0)
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		}
		return r == ' ' && quote == 0
	})
}

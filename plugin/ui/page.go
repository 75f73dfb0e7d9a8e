// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"math"
	"strings"
)

// page collects the lines of a view. Spaces are written only when text follows: no line ends in one.
type page struct {
	screen *Screen
	width  int // columns; 0 is unlimited
	text   strings.Builder
	at     int // columns of the current line, with the spaces that are owed
	owed   int // spaces not yet written
}

func (s *Screen) page() *page { return &page{screen: s, width: s.width} }

func (p *page) print() { p.screen.print(p.text.String()) }

// span is a piece of a line in one ink. Its text is clean.
type span struct {
	text string
	ink  ink
}

func (p *page) paint(text string, i ink) {
	full := len(text)
	if text = strings.TrimRight(text, " "); text == "" {
		p.spaces(full)
		return
	}
	const blank = "                                                                "
	for ; p.owed > 0; p.owed -= min(p.owed, len(blank)) {
		p.text.WriteString(blank[:min(p.owed, len(blank))])
	}
	look := p.screen.palette[i]
	p.text.WriteString(look.on)
	p.text.WriteString(text)
	p.text.WriteString(look.off)
	p.at += width(text)
	p.spaces(full - len(text))
}

func (p *page) spaces(n int) {
	p.at += n
	p.owed += n
}

// end ends the line.
func (p *page) end() {
	p.text.WriteByte('\n')
	p.at, p.owed = 0, 0
}

// line writes a line of its own, broken at spaces where it is too long; what follows is indented by two.
func (p *page) line(spans ...span) { p.flow(2, spans...) }

// leastText is the room for text that an indent leaves on all but very narrow screens.
const leastText = 24

// noBreak is a space at which flow does not break. What is clean holds none.
const noBreak = "\u00a0"

// flow writes the words of spans behind what the line holds already, with one space between them, and ends the line.
// Words that do not fit go on below, indented by hanging columns; words longer than a line are broken anywhere. A span
// without text is one more space.
func (p *page) flow(hanging int, spans ...span) {
	f := flow{page: p, limit: p.width}
	if f.limit <= 0 {
		f.limit = math.MaxInt
	}
	f.hanging = min(hanging, max(f.limit-leastText, f.limit/2))
	for _, s := range spans {
		if s.text == "" {
			f.extra++
		}
		for word := range strings.FieldsFuncSeq(s.text, func(r rune) bool { return r == ' ' }) {
			f.word(word, s.ink)
		}
		f.flush()
	}
	p.end()
}

type flow struct {
	page           *page
	limit, hanging int
	inside         bool   // a word stands on this line already
	extra          int    // spaces beyond the one before the next word
	run            string // words in one ink, not yet written
	size           int    // of run
	ink            ink
}

func (f *flow) word(word string, i ink) {
	f.ink = i
	size, space := width(word), 0
	if f.inside {
		space, f.extra = 1+f.extra, 0
	}
	if at := f.at(); at+space+size > f.limit && (f.inside || at > f.hanging) {
		f.next()
		space = 0
	}
	for f.at()+size > f.limit {
		piece := head(word, f.limit-f.at())
		if piece == "" {
			break // a character wider than the line
		}
		f.add(piece, 0, width(piece))
		f.next()
		word = word[len(piece):]
		size = width(word)
	}
	f.add(word, space, size)
	f.inside = true
}

func (f *flow) at() int { return f.page.at + f.size }

func (f *flow) add(word string, space, size int) {
	if f.run == "" {
		f.page.spaces(space)
	} else {
		f.run += strings.Repeat(" ", space)
		f.size += space
	}
	f.run += strings.ReplaceAll(word, noBreak, " ")
	f.size += size
}

func (f *flow) next() {
	f.flush()
	f.page.end()
	f.page.spaces(f.hanging)
	f.inside = false
}

func (f *flow) flush() {
	f.page.paint(f.run, f.ink)
	f.run, f.size = "", 0
}

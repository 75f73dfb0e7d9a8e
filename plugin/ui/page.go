// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"math"
	"strings"
)

// page collects the lines of a view.
type page struct {
	strings.Builder
	screen *Screen
}

func (s *Screen) page() *page { return &page{screen: s} }

func (p *page) print() { p.screen.print(p.String()) }

// span is a piece of a line in one ink. Its text is clean.
type span struct {
	text string
	ink  ink
}

func (p *page) paint(text string, i ink) {
	if text == "" {
		return
	}
	look := p.screen.palette[i]
	p.WriteString(look.on)
	p.WriteString(text)
	p.WriteString(look.off)
}

func (p *page) spaces(n int) {
	const blank = "                                                                "
	for ; n > len(blank); n -= len(blank) {
		p.WriteString(blank)
	}
	p.WriteString(blank[:max(n, 0)])
}

// line writes a line of its own, broken at spaces where it is too long; what follows is indented by two.
func (p *page) line(spans ...span) { p.flow(0, 2, spans...) }

// flow writes the words of spans, with one space between them, behind the columns of the line that are used already,
// and ends the line. Where they do not fit they go on below, indented by hanging columns. Words longer than a line are
// broken anywhere. A span without text is one more space.
func (p *page) flow(used, hanging int, spans ...span) {
	f := flow{page: p, limit: p.screen.width, at: used}
	if f.limit <= 0 {
		f.limit = math.MaxInt
	}
	f.hanging = min(hanging, f.limit/2)
	for _, s := range spans {
		if s.text == "" {
			f.extra++
		}
		for word := range strings.FieldsSeq(s.text) {
			f.word(word, s.ink)
		}
		f.flush()
	}
	p.WriteByte('\n')
}

type flow struct {
	page               *page
	limit, hanging, at int
	inside             bool   // a word stands on this line already
	extra              int    // spaces beyond the one before the next word
	run                string // words in one ink, not yet written
	ink                ink
}

func (f *flow) word(word string, i ink) {
	f.ink = i
	size, space := width(word), 1+f.extra
	f.extra = 0
	if f.inside && f.at+space+size > f.limit || !f.inside && f.at > f.hanging && f.at+size > f.limit {
		f.next()
	}
	if f.inside {
		word, size = strings.Repeat(" ", space)+word, size+space
	}
	for f.at+size > f.limit {
		piece := head(word, f.limit-f.at)
		if piece == "" {
			break // a character wider than the line
		}
		f.run += piece
		f.next()
		word = word[len(piece):]
		size = width(word)
	}
	f.run += word
	f.at += size
	f.inside = true
}

func (f *flow) next() {
	f.flush()
	f.page.WriteByte('\n')
	f.page.spaces(f.hanging)
	f.at, f.inside = f.hanging, false
}

func (f *flow) flush() {
	f.page.paint(f.run, f.ink)
	f.run = ""
}

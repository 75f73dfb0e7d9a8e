// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"slices"
)

// gap is the space between columns.
const gap = 2

// column of a table.
type column struct {
	head  string
	right bool // numbers
	// rank decides who stays when not all columns fit: 0 always, then 1, 2, ….
	rank int
	// want is the width at which the column is as good as whole; 0 is its widest cell. It may get more.
	want int
	// optional leaves the column out if all its cells are empty.
	optional bool
	// cut shortens a cell; nil cuts its end.
	cut func(text string, columns int) string
	// wrap, of the last column, breaks its cells into lines instead.
	wrap bool
}

// cell of a table. Its text is clean.
type cell struct {
	text string
	ink  ink
}

// row of a table: cells, or a banner across all columns, or nothing, which is an empty line.
type row struct {
	cells  []cell
	banner []span
	indent int // of the banner
}

// table lays out rows of cells below headers, without borders. No line is wider than the screen: columns that do not
// fit are left out by rank, then cells are cut.
type table struct {
	indent  int
	columns []column
	rows    []row
}

// write draws the table and tells which columns had no room.
func (t *table) write(p *page) (hidden []string) {
	natural := t.naturalWidths()
	widths := t.fit(natural, p.width)
	heads := make([]cell, len(t.columns))
	for i, c := range t.columns {
		heads[i] = cell{c.head, heading}
	}
	t.writeCells(p, heads, widths)
	for _, r := range t.rows {
		if len(r.banner) > 0 {
			p.spaces(r.indent)
			p.flow(r.indent+4, r.banner...)
			continue
		}
		t.writeCells(p, r.cells, widths)
	}
	for i, c := range t.columns {
		if widths[i] == 0 && natural[i] > 0 {
			hidden = append(hidden, c.head)
		}
	}
	return hidden
}

func (t *table) writeCells(p *page, cells []cell, widths []int) {
	p.spaces(t.indent)
	for i, c := range cells {
		if widths[i] == 0 {
			continue
		}
		text, size := c.text, width(c.text)
		if size > widths[i] {
			if t.columns[i].wrap {
				p.flow(p.at, span(c))
				return
			}
			text = t.shorten(p.screen, i, text, widths[i])
			size = width(text)
		}
		before, after := 0, widths[i]-size
		if t.columns[i].right {
			before, after = after, before
		}
		p.spaces(before)
		p.paint(text, c.ink)
		p.spaces(after + gap)
	}
	p.end()
}

func (t *table) shorten(s *Screen, i int, text string, columns int) string {
	if cut := t.columns[i].cut; cut != nil {
		return cut(text, columns)
	}
	return s.symbols.cut(text, columns)
}

// fit gives each column a width within the screen's, given the widths of all content; 0 leaves it out.
func (t *table) fit(full []int, screen int) []int {
	if screen <= 0 {
		return full
	}
	room := screen - t.indent + gap // each column brings one gap
	widths := make([]int, len(full))
	for _, i := range t.byRank() {
		want := full[i]
		if w := t.columns[i].want; w > 0 {
			want = min(want, w)
		}
		if t.columns[i].rank > 0 && want+gap > room {
			continue
		}
		widths[i] = want
		if want > 0 {
			room -= want + gap
		}
	}
	for i := range widths { // who wanted less than all gets what is left
		if widths[i] > 0 && room > 0 {
			more := min(full[i]-widths[i], room)
			widths[i], room = widths[i]+more, room-more
		}
	}
	for ; room < 0; room++ { // even those that always stay are too wide
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= 1 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *table) naturalWidths() []int {
	widths := make([]int, len(t.columns))
	for _, r := range t.rows {
		for i, c := range r.cells {
			widths[i] = max(widths[i], width(c.text))
		}
	}
	for i, c := range t.columns {
		if widths[i] > 0 || !c.optional {
			widths[i] = max(widths[i], width(c.head))
		}
	}
	return widths
}

// byRank gives the indexes of the columns, the most important first.
func (t *table) byRank() []int {
	order := make([]int, len(t.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(t.columns[a].rank, t.columns[b].rank)
	})
	return order
}

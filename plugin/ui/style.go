// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// ink is what a piece of text means; a palette gives it a look.
type ink uint8

const (
	plain   ink = iota
	heading     // names of columns, titles
	name        // names of objects
	dim         // secondary
	good        // done, created
	caution     // warnings, changes
	bad         // errors, deletions
	inks        // how many there are
)

// pair switches a look on and off again.
type pair struct{ on, off string }

// palette holds the look of each ink; the zero palette has no colour and sends no escape sequence.
type palette [inks]pair

// newPalette uses the terminal's own 16 colours, so that it fits light and dark themes. Styles are rendered once and
// not for each cell: a view may have hundreds of thousands.
func newPalette() palette {
	var p palette
	base := lipgloss.NewStyle()
	for i, style := range map[ink]lipgloss.Style{
		heading: base.Bold(true),
		name:    base.Foreground(lipgloss.Cyan),
		dim:     base.Faint(true),
		good:    base.Foreground(lipgloss.Green),
		caution: base.Foreground(lipgloss.Yellow),
		bad:     base.Foreground(lipgloss.Red),
	} {
		p[i].on, p[i].off, _ = strings.Cut(style.Render("|"), "|")
	}
	return p
}

// symbols are the signs beyond letters; each has an ASCII form. All but arrow, ok, failed and ellipsis are one column
// wide.
type symbols struct {
	unicode               bool
	ok, failed            string
	warning, info         string
	running               string
	arrow, ellipsis       string
	barFull, barEmpty     string
	create, change, erase string
}

func newSymbols(unicode bool) symbols {
	s := symbols{
		ok: "ok", failed: "x", warning: "!", info: "i", running: "-", arrow: "->", ellipsis: "...",
		barFull: "#", barEmpty: ".", create: "+", change: "~", erase: "-",
	}
	if unicode {
		s.unicode = true
		s.ok, s.failed, s.running = "✓", "✗", "·"
		s.arrow, s.ellipsis = "→", "…"
		s.barFull, s.barEmpty = "━", "─"
	}
	return s
}

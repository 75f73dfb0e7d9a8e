// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
)

// width of text in columns.
func width(text string) int {
	if isPlainASCII(text) {
		return len(text)
	}
	return lipgloss.Width(text)
}

func isPlainASCII(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// clean makes text from outside safe to print on one line: what is not printable becomes an escape as in Go. Where the
// screen has no Unicode, neither has the result: bytes of UTF-8 are control characters to some terminals.
func (s *symbols) clean(text string) string {
	if isPlainASCII(text) {
		return text
	}
	var b strings.Builder
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x` + strconv.FormatUint(uint64(rest[0]), 16))
		case s.shows(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		rest = rest[size:]
	}
	return b.String()
}

// shows says whether a rune is printed as it is. Variation selectors change the width of the rune before them, about
// which terminals do not agree.
func (s *symbols) shows(r rune) bool {
	if r < utf8.RuneSelf {
		return strconv.IsPrint(r)
	}
	return s.unicode && strconv.IsPrint(r) && !unicode.Is(unicode.Variation_Selector, r)
}

// prose is clean for sentences: line breaks and runs of space become one space.
func (s *symbols) prose(text string) string {
	return s.clean(strings.Join(strings.Fields(text), " "))
}

// cut shortens text to width columns, with an ellipsis at its end.
func (s *symbols) cut(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	mark := s.ellipsis
	if columns < width(mark)+1 {
		mark = ""
	}
	return head(text, columns-width(mark)) + mark
}

// cutMiddle shortens text to width columns and keeps both ends.
func (s *symbols) cutMiddle(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	room := columns - width(s.ellipsis)
	if room < 2 {
		return s.cut(text, columns)
	}
	return head(text, room-room/2) + s.ellipsis + tail(text, room/2)
}

// leastItem is the width below which an item of a list says nothing.
const leastItem = 7

// cutList shortens a list (a, b, c) to as many whole items as fit and the number of the others (a +2). An item that does
// not fit alone keeps both ends: addresses of a subnet begin alike.
func (s *symbols) cutList(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	items := strings.Split(text, ", ")
	for n := len(items) - 1; n > 0; n-- {
		short := strings.Join(items[:n], ", ") + " +" + strconv.Itoa(len(items)-n)
		if width(short) <= columns {
			return short
		}
	}
	more := " +" + strconv.Itoa(len(items)-1)
	if len(items) == 1 || columns < len(more)+leastItem {
		return s.cutMiddle(text, columns)
	}
	return s.cutMiddle(items[0], columns-len(more)) + more
}

// head is the longest start of text that fits, whole characters only.
func head(text string, columns int) string {
	if columns <= 0 {
		return ""
	}
	if isPlainASCII(text) {
		return text[:min(columns, len(text))]
	}
	return ansi.Truncate(text, columns, "")
}

// tail is the longest end of text that fits, whole characters only.
func tail(text string, columns int) string {
	if isPlainASCII(text) {
		return text[max(len(text)-columns, 0):]
	}
	left := width(text) - columns
	end := ansi.TruncateLeft(text, left, "")
	for width(end) > columns { // a wide character is cut in two
		left++
		end = ansi.TruncateLeft(text, left, "")
	}
	return end
}

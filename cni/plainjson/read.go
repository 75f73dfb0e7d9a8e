// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plainjson

import (
	"encoding"
	"math"
	"slices"
)

// Reader reads one JSON value. Having declined it stays so, and gives zero values. The zero Reader has nothing to read, and declines.
type Reader struct {
	data     []byte
	at       int // what is before it was read
	declined bool
}

// NewReader reads data.
func NewReader(data []byte) *Reader { return &Reader{data: data} }

// Done says whether all was read, and nothing declined.
func (r *Reader) Done() bool {
	r.space()
	return !r.declined && r.at == len(r.data)
}

// Decline gives up: the caller does not expect what stands there.
func (r *Reader) Decline() { r.declined, r.at = true, len(r.data) }

// Object reads an object. The function is called for each key, which is its until it returns, and reads its value; it declines keys that it does not
// know.
func (r *Reader) Object(value func(key []byte)) {
	var few [16][]byte // without memory of the heap
	keys := few[:0]
	r.all('{', '}', func() {
		key := r.text()
		for _, other := range keys {
			if string(other) == string(key) {
				r.Decline()
			}
		}
		keys = append(keys, key)
		r.expect(':')
		if !r.declined {
			value(key)
		}
	})
}

// List reads a list, nil for null; the function reads one element.
func List[T any](r *Reader, element func() T) []T {
	if r.peek() == 'n' {
		r.word("null")
		return nil
	}
	list := []T{}
	r.all('[', ']', func() { list = append(list, element()) })
	return list
}

// all reads what is between brackets.
func (r *Reader) all(begin, end byte, one func()) {
	if r.expect(begin); r.next(end) {
		return
	}
	for !r.declined {
		one()
		if r.next(end) {
			return
		}
		r.expect(',')
	}
}

// String reads a string without escapes, of ASCII alone.
func (r *Reader) String() string { return string(r.text()) }

// Text reads a string into what has a text.
func (r *Reader) Text(into encoding.TextUnmarshaler) {
	if text := r.text(); !r.declined && into.UnmarshalText(text) != nil {
		r.Decline()
	}
}

func (r *Reader) text() []byte {
	r.expect('"')
	for i, c := range r.data[r.at:] {
		if c == '"' {
			text := r.data[r.at : r.at+i]
			r.at += i + 1
			return text
		}
		if !plain(c) {
			break
		}
	}
	r.Decline()
	return nil
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	isTrue := r.peek() == 't'
	if isTrue {
		r.word("true")
	} else {
		r.word("false")
	}
	return isTrue && !r.declined
}

// Int reads a whole number from least to most.
func (r *Reader) Int(least, most int64) int64 {
	negative := r.next('-')
	size := r.digits()
	if size > math.MaxInt64 { // the smallest number of all is no loss
		r.Decline()
		return 0
	}
	number := int64(size)
	if negative {
		number = -number
	}
	if number < least || number > most {
		r.Decline()
		return 0
	}
	return number
}

// Uint reads a whole number without sign.
func (r *Reader) Uint() uint64 {
	r.space()
	return r.digits()
}

func (r *Reader) digits() uint64 {
	var number uint64
	rest := r.data[r.at:]
	digits := 0
	for ; digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9'; digits++ {
		const most = math.MaxUint64/10 - 1
		if number > most || digits > 0 && number == 0 { // too large, or of a zero in front
			r.Decline()
			return 0
		}
		number = number*10 + uint64(rest[digits]-'0')
	}
	if digits == 0 || digits < len(rest) && slices.Contains([]byte(".eE"), rest[digits]) {
		r.Decline()
		return 0
	}
	r.at += digits
	return number
}

func (r *Reader) word(w string) {
	if rest := r.data[r.at:]; len(rest) < len(w) || string(rest[:len(w)]) != w {
		r.Decline()
		return
	}
	r.at += len(w)
}

// next reads a character if it stands there.
func (r *Reader) next(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *Reader) expect(c byte) {
	if !r.next(c) {
		r.Decline()
	}
}

// peek is the next character that is no space; 0 at the end.
func (r *Reader) peek() byte {
	if r.space(); r.at == len(r.data) {
		return 0
	}
	return r.data[r.at]
}

func (r *Reader) space() {
	for r.at < len(r.data) && r.data[r.at] <= ' ' {
		switch r.data[r.at] {
		case ' ', '\n', '\t', '\r':
			r.at++
		default:
			return
		}
	}
}

// plain characters stand for themselves in a string: here, and in what encoding/json writes.
func plain(c byte) bool {
	const special = 1<<'"' | 1<<'&' | 1<<'<' | 1<<'>' // of the first 64
	return c >= ' ' && c < 0x7f && c != '\\' && (c >= 64 || special>>c&1 == 0)
}

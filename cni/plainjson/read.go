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
	rest     []byte
	declined bool
}

// NewReader reads data.
func NewReader(data []byte) *Reader { return &Reader{rest: data} }

// Done says whether all was read, and nothing declined.
func (r *Reader) Done() bool {
	r.space()
	return !r.declined && len(r.rest) == 0
}

// Decline gives up: the caller does not expect what stands there.
func (r *Reader) Decline() { r.declined, r.rest = true, nil }

// Object reads an object. The function is called for each key and reads its value; it declines keys that it does not know.
func (r *Reader) Object(value func(key string)) {
	var keys []string
	r.all('{', '}', func() {
		key := r.String()
		if slices.Contains(keys, key) {
			r.Decline()
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
	if r.space(); len(r.rest) > 0 && r.rest[0] == 'n' {
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
	end := slices.IndexFunc(r.rest, func(c byte) bool { return c == '"' || !plain(c) })
	if end < 0 || r.rest[end] != '"' {
		r.Decline()
		return nil
	}
	text := r.rest[:end]
	r.rest = r.rest[end+1:]
	return text
}

// Bool reads true or false.
func (r *Reader) Bool() bool {
	r.space()
	isTrue := len(r.rest) > 0 && r.rest[0] == 't'
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
	digits := 0
	for ; digits < len(r.rest) && r.rest[digits] >= '0' && r.rest[digits] <= '9'; digits++ {
		const most = math.MaxUint64/10 - 1
		if number > most || digits > 0 && number == 0 { // too large, or of a zero in front
			r.Decline()
			return 0
		}
		number = number*10 + uint64(r.rest[digits]-'0')
	}
	if digits == 0 || digits < len(r.rest) && slices.Contains([]byte(".eE"), r.rest[digits]) {
		r.Decline()
		return 0
	}
	r.rest = r.rest[digits:]
	return number
}

func (r *Reader) word(w string) {
	if len(r.rest) < len(w) || string(r.rest[:len(w)]) != w {
		r.Decline()
		return
	}
	r.rest = r.rest[len(w):]
}

// next reads a character if it stands there.
func (r *Reader) next(c byte) bool {
	if r.space(); len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *Reader) expect(c byte) {
	if !r.next(c) {
		r.Decline()
	}
}

func (r *Reader) space() {
	i := 0
	for i < len(r.rest) && (r.rest[i] == ' ' || r.rest[i] == '\n' || r.rest[i] == '\t' || r.rest[i] == '\r') {
		i++
	}
	r.rest = r.rest[i:]
}

// plain characters stand for themselves in a string: here, and in what encoding/json writes.
func plain(c byte) bool {
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plainjson

import (
	"encoding"
	"strconv"
)

// Writer writes JSON without spaces; the zero Writer has written nothing. It sets commas where they belong.
type Writer struct {
	text     []byte
	declined bool
}

// Bytes is what was written; false if something was declined.
func (w *Writer) Bytes() ([]byte, bool) { return w.text, !w.declined }

// Decline gives up.
func (w *Writer) Decline() { w.declined = true }

// Object writes an object; the function writes its fields.
func (w *Writer) Object(fields func()) { w.all('{', '}', fields) }

// List writes a list; the function writes its elements.
func (w *Writer) List(elements func()) { w.all('[', ']', elements) }

func (w *Writer) all(begin, end byte, content func()) {
	w.comma()
	w.text = append(w.text, begin)
	content()
	w.text = append(w.text, end)
}

// Key begins a field, whose value comes next.
func (w *Writer) Key(key string) {
	w.String(key)
	w.text = append(w.text, ':')
}

// String writes a string of ASCII that needs no escapes.
func (w *Writer) String(s string) {
	for i := range len(s) {
		if !plain(s[i]) {
			w.Decline()
			return
		}
	}
	w.comma()
	w.text = append(append(append(w.text, '"'), s...), '"')
}

// Text writes what has a text.
func (w *Writer) Text(value encoding.TextMarshaler) {
	text, err := value.MarshalText()
	if err != nil {
		w.Decline()
		return
	}
	w.String(string(text))
}

// Int writes a number.
func (w *Writer) Int(n int64) {
	w.comma()
	w.text = strconv.AppendInt(w.text, n, 10)
}

// Uint writes a number.
func (w *Writer) Uint(n uint64) {
	w.comma()
	w.text = strconv.AppendUint(w.text, n, 10)
}

// comma parts a value from the one before it.
func (w *Writer) comma() {
	if len(w.text) == 0 {
		return
	}
	switch w.text[len(w.text)-1] {
	case '{', '[', ':':
	default:
		w.text = append(w.text, ',')
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kind is what JSON knows of a value's type.
type kind int

const (
	// broken is a value whose text made no sense, which is reported already.
	broken kind = iota
	null
	boolean
	number
	text
	list
	object
)

// place is a position in a file; both count from 1, columns in characters.
type place struct{ line, column int }

// value is a node of a file's tree, whether it was YAML or JSON. Aliases and merge keys are expanded, so that it is a
// tree and no graph; an expanded value keeps the place of what it is a copy of.
type value struct {
	kind kind
	place
	// text of a scalar: a string as it is, a number or boolean as JSON writes it.
	text string
	// items of a list.
	items []*value
	// fields of an object, in the file's order, keys unique.
	fields []member
}

// member is a key of an object and what it holds; its place is the key's.
type member struct {
	place
	key   string
	value *value
}

// get finds a field that is present and not null, which in Kubernetes is as good as absent.
func (v *value) get(key string) (member, bool) {
	if v == nil || v.kind != object {
		return member{}, false
	}
	for _, f := range v.fields {
		if f.key == key && f.value.kind != null {
			return f, true
		}
	}
	return member{}, false
}

// textAt gives the string below key; empty when there is none.
func (v *value) textAt(key string) string {
	f, ok := v.get(key)
	if !ok || f.value.kind != text {
		return ""
	}
	return f.value.text
}

// itemsAt gives the items of the list below key.
func (v *value) itemsAt(key string) []*value {
	f, ok := v.get(key)
	if !ok {
		return nil
	}
	return f.value.items
}

// without gives a shallow copy of an object that lacks some fields.
func (v *value) without(keys ...string) *value {
	c := *v
	c.fields = nil
	for _, f := range v.fields {
		if !slices.Contains(keys, f.key) {
			c.fields = append(c.fields, f)
		}
	}
	return &c
}

// String describes a value in a message, shortened when long.
func (v *value) String() string {
	switch v.kind {
	case null, broken:
		return "null"
	case text:
		return quote(v.text)
	case boolean, number:
		return shorten(v.text)
	case list:
		return fmt.Sprintf("a list of %d", len(v.items))
	default:
		return "an object"
	}
}

// appendJSON writes the value as compact JSON, fields in the file's order.
func (v *value) appendJSON(b *bytes.Buffer) {
	switch v.kind {
	case null, broken:
		b.WriteString("null")
	case boolean, number:
		b.WriteString(v.text)
	case text:
		appendJSONString(b, v.text)
	case list:
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.appendJSON(b)
		}
		b.WriteByte(']')
	case object:
		b.WriteByte('{')
		for i, f := range v.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			appendJSONString(b, f.key)
			b.WriteByte(':')
			f.value.appendJSON(b)
		}
		b.WriteByte('}')
	}
}

func appendJSONString(b *bytes.Buffer, s string) {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			raw, _ := json.Marshal(s) // a string always marshals
			b.Write(raw)
			return
		}
	}
	b.WriteByte('"')
	b.WriteString(s)
	b.WriteByte('"')
}

// decode fills a Go value from the tree, which has passed its schema.
func (v *value) decode(into any) error {
	var b bytes.Buffer
	v.appendJSON(&b)
	return json.Unmarshal(b.Bytes(), into)
}

// maxQuoted bounds what a message repeats of a file, in bytes.
const maxQuoted = 60

func shorten(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	cut := maxQuoted
	for cut > 0 && s[cut]&0xc0 == 0x80 { // not within a UTF-8 sequence
		cut--
	}
	return s[:cut] + "…"
}

func quote(s string) string { return strconv.Quote(shorten(s)) }

// find gives the value at a path, written as in report.path; of a field that is not there, the nearest one above.
func (v *value) find(path string) *value {
	for path != "" {
		var next *value
		if rest, ok := strings.CutPrefix(path, "["); ok {
			var name string
			name, path, _ = strings.Cut(rest, "]")
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(v.items) {
				next = v.items[i]
			} else if f, ok := v.get(name); ok {
				next = f.value
			}
		} else {
			path = strings.TrimPrefix(path, ".")
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			if f, ok := v.get(path[:end]); ok {
				next = f.value
			}
			path = path[end:]
		}
		if next == nil {
			return v
		}
		v = next
	}
	return v
}

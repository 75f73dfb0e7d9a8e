// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// maxSize bounds a file. An inventory has about 2 KiB per node, so this is far beyond any cluster; reading one
// takes some 30 times its size in memory.
const maxSize = 64 << 20

// maxDepth bounds nesting: ours is 6 deep, what EC2 prints about 8.
const maxDepth = 100

// readAll reads a file's documents; those that hold nothing are left out. What is wrong with the text itself is in the
// report; where the syntax is broken there are no documents.
func readAll(name string, r io.Reader) ([]*value, *report, error) {
	if name == "-" {
		name = "stdin"
	}
	rep := &report{file: name}
	raw, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(raw) > maxSize {
		rep.here(place{}, "is larger than %d MiB, the most that is read", maxSize>>20)
		return nil, rep, nil
	}
	raw = toUTF8(raw)
	if at, ok := invalidUTF8(raw); ok {
		rep.here(at, "is not UTF-8 text: save the file as UTF-8")
		return nil, rep, nil
	}
	docs := parse(raw, rep)
	if len(docs) == 0 && len(rep.problems) == 0 {
		rep.here(place{}, "is empty")
	}
	return docs, rep, nil
}

// parse reads JSON where the text begins like JSON, else YAML. Of JSON that is none, YAML's flow style may make sense.
func parse(raw []byte, rep *report) []*value {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		docs, _ := parseYAML(raw, rep)
		return docs
	}
	asJSON := &report{file: rep.file}
	docs, ok := parseJSON(raw, asJSON)
	if !ok {
		asYAML := &report{file: rep.file}
		if docs, ok := parseYAML(raw, asYAML); ok {
			rep.problems = asYAML.problems
			return docs
		}
	}
	rep.problems = asJSON.problems
	return docs
}

// toUTF8 drops a byte order mark, and converts UTF-16, which PowerShell writes when output is redirected.
func toUTF8(raw []byte) []byte {
	if rest, ok := bytes.CutPrefix(raw, []byte("\xef\xbb\xbf")); ok {
		return rest
	}
	var order func([]byte) uint16
	switch {
	case bytes.HasPrefix(raw, []byte("\xff\xfe")):
		order = func(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }
	case bytes.HasPrefix(raw, []byte("\xfe\xff")):
		order = func(b []byte) uint16 { return uint16(b[1]) | uint16(b[0])<<8 }
	default:
		return raw
	}
	units := make([]uint16, 0, len(raw)/2)
	for rest := raw[2:]; len(rest) >= 2; rest = rest[2:] {
		units = append(units, order(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

// invalidUTF8 finds the first byte that is not UTF-8.
func invalidUTF8(raw []byte) (place, bool) {
	if utf8.Valid(raw) {
		return place{}, false
	}
	at := place{1, 1}
	for {
		r, size := utf8.DecodeRune(raw)
		if r == utf8.RuneError && size <= 1 {
			return at, true
		}
		if r == '\n' {
			at = place{at.line + 1, 0}
		}
		at.column++
		raw = raw[size:]
	}
}

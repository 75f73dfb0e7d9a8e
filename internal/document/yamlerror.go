// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

const templateHint = "{{ is not YAML: render the template first"

// yamlFailure says where and why the YAML parser gave up, in words that say what to do about the usual causes.
func yamlFailure(raw []byte, err error) (place, string) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	at := place{line: 1} // the parser does not mention line 1
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(message); m != nil {
		at.line, _ = strconv.Atoi(m[1]) // digits
		message = m[2]
	}
	if m := regexp.MustCompile(`^unknown anchor '(.*)'`).FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(raw, []byte("*"+m[1]))
		at.line = 1 + bytes.Count(before, []byte("\n"))
		return at, "*" + m[1] + " refers to nothing: there is no &" + m[1] + " before it"
	}
	for _, known := range yamlFailures() {
		if strings.HasPrefix(message, known.message) {
			at.line += known.linesOff
			message = known.words
			break
		}
	}
	if tab, ok := tabAt(raw, at.line); ok {
		return tab, "a tab indents this line: YAML wants spaces"
	}
	return at, message
}

type yamlFailureWords struct {
	message string
	// linesOff corrects the line: the parser's own errors, unlike its scanner's, count lines from 0.
	linesOff int
	words    string
}

func yamlFailures() []yamlFailureWords {
	return []yamlFailureWords{
		{"did not find expected ',' or ']'", 1, "a list lacks a ',' or its ']'"},
		{"did not find expected ',' or '}'", 1, "an object lacks a ',' or its '}'"},
		{"did not find expected key", 1, "fields of one object are not indented alike, or one lacks its key"},
		{"did not find expected '-' indicator", 1, "items of one list are not indented alike, or one lacks its -"},
		{"did not find expected node content", 1, "a value is missing"},
		{"did not find expected <document start>", 1, "nothing may follow here but another document after ---"},
		{"mapping values are not allowed", 0, "\": \" does not fit here: put the value in quotes, or begin a new line"},
		{"could not find expected ':'", 0, "a key lacks its \": \", colon and space"},
		{"found character that cannot start any token", 0, "this character begins no value: put the value in quotes"},
		{"found incompatible YAML document", 0, "remove the %YAML line: it asks for another version of YAML"},
		{"found unexpected end of stream", 0, "a quote is not closed"},
		{"block sequence entries are not allowed", 0, "a list's \"- \" does not fit here: begin it on a new line"},
	}
}

// tabAt finds a tab in the indentation of a line, or of the next one.
func tabAt(raw []byte, line int) (place, bool) {
	lines := bytes.Split(raw, []byte("\n"))
	for n := max(line, 1); n <= min(line+1, len(lines)); n++ {
		text := lines[n-1]
		indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 {
			return place{n, tab + 1}, true
		}
	}
	return place{}, false
}

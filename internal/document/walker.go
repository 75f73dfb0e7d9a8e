// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// walker checks a tree against a schema.
type walker struct {
	*report
	patterns map[string]*regexp.Regexp
}

func newWalker(rep *report) *walker {
	return &walker{report: rep, patterns: map[string]*regexp.Regexp{}}
}

// check reports everything that the schema does not allow in v. Null is as good as absent in an object's fields, as
// it is to the API server.
func (w *walker) check(v *value, s *schema) {
	if w.full() || !w.checkType(v, s) {
		return
	}
	switch v.kind {
	case text:
		w.checkText(v, s)
	case number:
		w.checkNumber(v, s)
	case list:
		w.checkList(v, s)
	case object:
		w.checkObject(v, s)
	}
}

// checkType says whether v has the schema's type; if not it has told so.
func (w *walker) checkType(v *value, s *schema) bool {
	want, words := wanted(s.Type)
	switch {
	case v.kind == broken: // told when it was read
		return false
	case words == "", v.kind == want && (s.Type != "integer" || isInteger(v)):
		return true
	case want == text && (v.kind == number || v.kind == boolean):
		w.here(v.place, `must be text, not %s %s: put it in quotes, "%s"`, v.kind, v, v)
	case want == text && isBrokenAddress(v):
		w.here(v.place, `must be text: put addresses that end in "::" in quotes, "%s:"`, shorten(v.fields[0].key))
	default:
		w.here(v.place, "must be %s, not %s", words, v)
	}
	return false
}

// wanted gives the kind that a type of JSON Schema asks for, and its name; no name when any kind will do.
func wanted(schemaType string) (kind, string) {
	switch schemaType {
	case "string":
		return text, "text"
	case "integer":
		return number, "a whole number"
	case "boolean":
		return boolean, "true or false"
	case "array":
		return list, "a list"
	case "object":
		return object, "an object"
	default:
		return null, ""
	}
}

// isBrokenAddress recognises an IPv6 address that ends in :: and that YAML takes for a key.
func isBrokenAddress(v *value) bool {
	return v.kind == object && len(v.fields) == 1 && v.fields[0].value.kind == null && strings.HasSuffix(v.fields[0].key, ":")
}

// isInteger accepts 1.0 as 1, as the API server does, and writes it as Go's decoder wants it.
func isInteger(v *value) bool {
	if _, err := strconv.ParseInt(v.text, 10, 64); err == nil {
		return true
	}
	if len(v.text) > 32 { // no integer of ours; keeps 1e999999999 from being expanded
		return false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || f != float64(int64(f)) {
		return false
	}
	v.text = strconv.FormatInt(int64(f), 10)
	return true
}

func (w *walker) checkText(v *value, s *schema) {
	length := utf8.RuneCountInString(v.text)
	switch {
	case len(s.Enum) > 0:
		if !slices.Contains(s.Enum, v.text) {
			w.here(v.place, "%s is not known%s", v, choices(v.text, s.Enum))
		}
	case v.text == "" && s.orEmpty:
	case length < s.MinLength && length == 0:
		w.here(v.place, "must not be empty: %s", s.summary())
	case length < s.MinLength:
		w.here(v.place, "%s is too short: at least %d characters", v, s.MinLength)
	case s.MaxLength != nil && length > *s.MaxLength:
		w.here(v.place, "%s is too long: %d characters, at most %d", v, length, *s.MaxLength)
	default:
		if wrong := checkFormat(s.Format, v.text); wrong != "" {
			w.here(v.place, "%s", wrong)
		} else if s.Pattern != "" && !w.pattern(s.Pattern).MatchString(v.text) {
			w.here(v.place, "%s does not match %s", v, s.Pattern)
		}
	}
}

func (w *walker) pattern(p string) *regexp.Regexp {
	re, ok := w.patterns[p]
	if !ok {
		re = regexp.MustCompile(p) // of our own schemas, all compiled by a test
		w.patterns[p] = re
	}
	return re
}

func (w *walker) checkNumber(v *value, s *schema) {
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil { // no integer was asked for
		return
	}
	low, high := s.Minimum, s.Maximum
	if s.Format == "int32" {
		if low == nil {
			low = new(int64(-1 << 31))
		}
		if high == nil {
			high = new(int64(1<<31 - 1))
		}
	}
	below := low != nil && n < *low
	above := high != nil && n > *high
	switch {
	case !below && !above:
	case low != nil && high != nil:
		w.here(v.place, "%s is out of range: from %d to %d", v, *low, *high)
	case below:
		w.here(v.place, "%s is too small: at least %d", v, *low)
	case above:
		w.here(v.place, "%s is too large: at most %d", v, *high)
	}
}

func (w *walker) checkList(v *value, s *schema) {
	if len(v.items) < s.MinItems {
		w.here(v.place, "must have at least %s", count(s.MinItems, "item"))
	}
	if s.MaxItems != nil && len(v.items) > *s.MaxItems {
		w.here(v.place, "has %d items: at most %d", len(v.items), *s.MaxItems)
	}
	if s.Items == nil {
		return
	}
	for i, item := range v.items {
		w.enterItem(i)
		w.check(item, s.Items)
		w.leave()
	}
	w.checkDuplicates(v, s)
}

// checkDuplicates reports items of a set, or of a list with keys, that are there twice.
func (w *walker) checkDuplicates(v *value, s *schema) {
	switch s.ListType {
	case "set":
		unique(w.report, v.items, "", func(item *value) string { return item.text })
	case "map":
		unique(w.report, v.items, strings.Join(s.ListKeys, ", "), func(item *value) string {
			var parts []string
			for _, key := range s.ListKeys {
				parts = append(parts, item.textAt(key))
			}
			return strings.Join(parts, "/")
		})
	}
}

func (w *walker) checkObject(v *value, s *schema) {
	if s.Free {
		return
	}
	present := 0
	var meant []string // required fields that are there under a misspelt name
	for _, f := range v.fields {
		below, known := s.Properties[f.key]
		if s.Values != nil {
			below, known = s.Values, true
		}
		if !known {
			meant = append(meant, w.unknown(f, s))
			continue
		}
		if f.value.kind == null {
			continue
		}
		present++
		w.enter(f.key)
		w.check(f.value, below)
		w.leave()
	}
	for _, key := range s.Required {
		if _, ok := v.get(key); !ok && !slices.Contains(meant, key) {
			w.below(v.place, key, "is required: %s", s.Properties[key].summary())
		}
	}
	if present < s.MinProperties {
		w.here(v.place, "must have at least %s", count(s.MinProperties, "field"))
	}
	if s.MaxProperties != nil && present > *s.MaxProperties {
		w.here(v.place, "has %d fields: at most %d", present, *s.MaxProperties)
	}
}

// unknown reports a field that the schema does not know, and gives the one that was meant, as far as can be guessed.
func (w *walker) unknown(f member, s *schema) string {
	if w.full() {
		return ""
	}
	allowed := s.names()
	w.below(f.place, f.key, "unknown field%s", choices(f.key, allowed))
	return nearest(f.key, allowed)
}

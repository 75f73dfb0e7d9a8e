// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"strconv"
	"strings"
)

// maxProblems bounds what is collected: of a file that has more wrong, nobody wants to know all.
const maxProblems = 10_000

// report collects the problems of one file while its tree is walked; trail is where the walk is.
type report struct {
	file     string
	trail    []step
	problems []Problem
}

// step is a key of an object or, with isItem, an index of a list.
type step struct {
	key    string
	isItem bool
	index  int
}

func (r *report) enter(key string)    { r.trail = append(r.trail, step{key: key}) }
func (r *report) enterItem(index int) { r.trail = append(r.trail, step{isItem: true, index: index}) }
func (r *report) leave()              { r.trail = r.trail[:len(r.trail)-1] }

// here reports a problem with the field that the trail leads to.
func (r *report) here(at place, format string, args ...any) {
	r.add(at, r.path(), format, args...)
}

// below reports a problem with a key of the object that the trail leads to.
func (r *report) below(at place, key, format string, args ...any) {
	r.enter(key)
	r.here(at, format, args...)
	r.leave()
}

func (r *report) add(at place, path, format string, args ...any) {
	if r.full() {
		return
	}
	r.problems = append(r.problems, Problem{
		File: r.file, Line: at.line, Column: at.column, Field: path, Message: fmt.Sprintf(format, args...),
	})
}

func (r *report) full() bool { return len(r.problems) >= maxProblems }

// path writes the trail as Kubernetes writes field paths: a.b[0], and a[x.y/z] for keys that are no identifiers.
func (r *report) path() string {
	const deepest = 20 // of our schemas 6; bounds what is said of nonsense
	var b strings.Builder
	for i, s := range r.trail {
		switch {
		case i == deepest:
			return b.String() + "…"
		case s.isItem:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case s.key == "" || strings.ContainsAny(s.key, ".[]/ "):
			b.WriteString("[" + shorten(s.key) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(shorten(s.key))
		}
	}
	return b.String()
}

// keys finds keys that an object has twice.
type keys struct {
	rep  *report
	seen map[string]place
}

func newKeys(rep *report) *keys { return &keys{rep: rep, seen: map[string]place{}} }

func (k *keys) has(key string) bool {
	_, ok := k.seen[key]
	return ok
}

// first says whether key is new; a second one is reported.
func (k *keys) first(key string, at place) bool {
	if before, ok := k.seen[key]; ok {
		k.rep.below(at, key, "is here twice, first on line %d: remove one", before.line)
		return false
	}
	k.seen[key] = at
	return true
}

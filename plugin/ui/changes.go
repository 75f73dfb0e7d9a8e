// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// summariseFrom is the number of objects of one kind with one action above which they are one line.
const summariseFrom = 40

// ChangeOptions say how much of the changes to show.
type ChangeOptions struct {
	// All lists each object; without it more than 40 of a kind and action are one line.
	All bool
	// Hint says how to see all, as "--verbose lists each object"; shown where objects were summarised.
	Hint string
	// Title stands above, after an empty line; none is drawn where it is empty.
	Title string
}

// Changes draws what would happen to each object, and a summary. Objects that stay as they are are only counted.
func (s *Screen) Changes(changes []plan.Change, opts ChangeOptions) {
	p := s.page()
	defer p.print()
	if opts.Title != "" {
		p.end()
		p.line(span{s.symbols.prose(opts.Title), heading})
	}
	n := tally(changes)
	if n.create+n.change+n.erase == 0 {
		same := "(" + plan.Count(n.same, "object") + " as planned)"
		p.line(span{s.symbols.ok, good}, span{"No changes", good}, span{same, dim})
		return
	}
	groups := groupChanges(changes)
	kinds := 0
	for _, g := range groups {
		kinds = max(kinds, width(s.symbols.clean(g[0].Kind)))
	}
	kinds = min(kinds, 32)
	summarised := false
	for _, g := range groups {
		if len(g) > summariseFrom && !opts.All {
			p.changeSummary(g, kinds)
			summarised = true
			continue
		}
		for _, c := range g {
			p.change(c, kinds)
		}
	}
	p.end()
	p.line(
		span{thousands(n.create) + " to create,", plain}, span{thousands(n.change) + " to change,", plain},
		span{thousands(n.erase) + " to delete,", plain}, span{thousands(n.same) + " unchanged", plain},
	)
	if summarised && opts.Hint != "" {
		p.line(span{s.symbols.prose(opts.Hint), dim})
	}
}

type changeTally struct{ create, change, erase, same int }

func tally(changes []plan.Change) changeTally {
	var n changeTally
	for _, c := range changes {
		switch c.Action {
		case plan.Create:
			n.create++
		case plan.Update:
			n.change++
		case plan.Delete:
			n.erase++
		default:
			n.same++
		}
	}
	return n
}

// groupChanges gives the objects that change, in the order given, those of a kind and action together.
func groupChanges(changes []plan.Change) [][]plan.Change {
	type key struct {
		kind   string
		action plan.Action
	}
	position := map[key]int{}
	var groups [][]plan.Change
	for _, c := range changes {
		if _, _, ok := (&symbols{}).action(c.Action); !ok {
			continue
		}
		k := key{c.Kind, c.Action}
		i, seen := position[k]
		if !seen {
			i = len(groups)
			position[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

// action gives the sign of an action; false for one that changes nothing.
func (s *symbols) action(a plan.Action) (string, ink, bool) {
	switch a {
	case plan.Create:
		return s.create, good, true
	case plan.Update:
		return s.change, caution, true
	case plan.Delete:
		return s.erase, bad, true
	}
	return "", plain, false
}

// changeHead writes the sign and the kind.
func (p *page) changeHead(c plan.Change, kinds int) {
	s := &p.screen.symbols
	sign, look, _ := s.action(c.Action)
	kind := s.cut(s.clean(c.Kind), kinds)
	p.paint(sign, look)
	p.spaces(1)
	p.paint(kind, plain)
	p.spaces(kinds - width(kind) + gap)
}

func (p *page) change(c plan.Change, kinds int) {
	s := &p.screen.symbols
	p.changeHead(c, kinds)
	p.flow(p.at, span{s.clean(objectName(c)), name})
	for _, f := range c.Fields {
		p.field(f)
	}
}

func objectName(c plan.Change) string {
	if c.Namespace == "" {
		return c.Name
	}
	return c.Namespace + "/" + c.Name
}

// changeSummary stands for many objects of a kind and action.
func (p *page) changeSummary(group []plan.Change, kinds int) {
	s := &p.screen.symbols
	p.changeHead(group[0], kinds)
	first, last := s.clean(objectName(group[0])), s.clean(objectName(group[len(group)-1]))
	spans := []span{
		{plan.Count(len(group), "object") + ",", plain},
		{first, name}, {"to", plain}, {last, name},
	}
	if paths := fieldPaths(group); len(paths) > 0 {
		spans[3].text += ":"
		spans = append(spans, span{s.clean(strings.Join(paths, ", ")), plain})
	}
	p.flow(p.at, spans...)
}

func fieldPaths(group []plan.Change) []string {
	var paths []string
	for _, c := range group {
		for _, f := range c.Fields {
			if i, found := slices.BinarySearch(paths, f.Path); !found {
				paths = slices.Insert(paths, i, f.Path)
			}
		}
	}
	return paths
}

// field writes a field's old and new value: in one line if they fit, else below each other, with what both share left
// out where it is too long.
func (p *page) field(f plan.FieldChange) {
	const indent = 4
	s := &p.screen.symbols
	path := s.clean(f.Path) + ":"
	before, after := s.value(f.Old, bad), s.value(f.New, good)
	limit := p.width
	p.spaces(indent)
	if limit <= 0 || indent+width(path)+1+width(before.text)+1+width(s.arrow)+1+width(after.text) <= limit {
		p.paint(path, dim)
		p.spaces(1)
		p.paint(before.text, before.ink)
		p.paint(" "+s.arrow+" ", plain)
		p.paint(after.text, after.ink)
		p.end()
		return
	}
	p.flow(indent, span{path, dim})
	before.text, after.text = s.cutDifference(before.text, after.text, limit-indent-4)
	for _, side := range []struct {
		sign  string
		value span
	}{{s.erase, before}, {s.create, after}} {
		p.spaces(indent + 2)
		p.paint(side.sign+" "+side.value.text, side.value.ink)
		p.end()
	}
}

// value of a field; empty is absent.
func (s *symbols) value(text string, i ink) span {
	if text == "" {
		return span{"unset", dim}
	}
	return span{s.clean(text), i}
}

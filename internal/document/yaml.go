// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxExpanded bounds the values that come from aliases and merge keys, which can otherwise grow exponentially
// ("billion laughs").
const maxExpanded = 100_000

// yamlParser builds trees from YAML's nodes.
type yamlParser struct {
	rep *report
	// expanding is how many aliases deep the parser is; expanded counts the values made below them.
	expanding, expanded int
}

// parseYAML reads a stream of YAML documents; false when the syntax is broken.
func parseYAML(raw []byte, rep *report) ([]*value, bool) {
	p := &yamlParser{rep: rep}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var docs []*value
	for {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, true
		}
		if err != nil {
			at, message := yamlFailure(raw, err)
			rep.here(at, "broken YAML: %s", message)
			return nil, false
		}
		v, err := p.value(&node, 0)
		if err != nil {
			return nil, false
		}
		if v.kind != null {
			docs = append(docs, v)
		}
	}
}

func (p *yamlParser) value(n *yaml.Node, depth int) (*value, error) {
	at := place{n.Line, n.Column}
	if depth > maxDepth {
		p.rep.here(at, "nests deeper than %d levels", maxDepth)
		return nil, errReported
	}
	if p.expanding > 0 {
		if p.expanded++; p.expanded > maxExpanded {
			p.rep.here(at, "aliases (*name) expand to more than %d values: write them out", maxExpanded)
			return nil, errReported
		}
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return p.value(n.Content[0], depth)
	case yaml.AliasNode:
		p.expanding++
		defer func() { p.expanding-- }()
		return p.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		return p.list(n, depth)
	case yaml.MappingNode:
		return p.object(n, depth)
	default:
		return p.scalar(n), nil
	}
}

func (p *yamlParser) list(n *yaml.Node, depth int) (*value, error) {
	v := &value{kind: list, place: place{n.Line, n.Column}, items: make([]*value, 0, len(n.Content))}
	for i, c := range n.Content {
		p.rep.enterItem(i)
		item, err := p.value(c, depth+1)
		if err != nil {
			return nil, err
		}
		p.rep.leave()
		v.items = append(v.items, item)
	}
	return v, nil
}

func (p *yamlParser) object(n *yaml.Node, depth int) (*value, error) {
	v := &value{kind: object, place: place{n.Line, n.Column}, fields: make([]member, 0, len(n.Content)/2)}
	keys := newKeys(p.rep)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, c := n.Content[i], n.Content[i+1]
		if k.ShortTag() == "!!merge" {
			merges = append(merges, c)
			continue
		}
		key, ok := p.key(k)
		if !ok {
			v.kind = broken
			continue
		}
		p.rep.enter(key)
		below, err := p.value(c, depth+1)
		if err != nil {
			return nil, err
		}
		p.rep.leave()
		if at := (place{k.Line, k.Column}); keys.first(key, at) {
			v.fields = append(v.fields, member{place: at, key: key, value: below})
		}
	}
	for _, m := range merges {
		if err := p.merge(v, m, keys, depth); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// key gives the text of a key; false, reported, when it is none.
func (p *yamlParser) key(n *yaml.Node) (string, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	at := place{n.Line, n.Column}
	switch {
	case n.Kind == yaml.ScalarNode && (n.Value != "" || n.ShortTag() != "!!null"):
		return n.Value, true
	case n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0:
		p.rep.here(place{at.line, at.column - 1}, templateHint)
	default:
		p.rep.here(at, "a key must be text")
	}
	return "", false
}

// merge adds the fields of `<<: *other` that are not there yet.
func (p *yamlParser) merge(into *value, n *yaml.Node, keys *keys, depth int) error {
	from, err := p.value(n, depth+1)
	if err != nil {
		return err
	}
	sources := []*value{from}
	if from.kind == list {
		sources = from.items
	}
	for _, source := range sources {
		if source.kind != object {
			p.rep.here(place{n.Line, n.Column}, "<< merges objects, not %s", source)
			continue
		}
		for _, f := range source.fields {
			if !keys.has(f.key) {
				keys.first(f.key, f.place)
				into.fields = append(into.fields, f)
			}
		}
	}
	return nil
}

// scalar gives a plain scalar the type that YAML 1.2 does, timestamps aside, which stay text.
func (p *yamlParser) scalar(n *yaml.Node) *value {
	v := &value{kind: text, place: place{n.Line, n.Column}, text: n.Value}
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
	case "!!null":
		v.kind, v.text = null, ""
	case "!!bool":
		v.kind, v.text = boolean, strings.ToLower(n.Value)
	case "!!int", "!!float":
		literal, ok := jsonNumber(n.Value)
		if !ok {
			p.rep.here(v.place, "%s is no number that JSON can write", quote(n.Value))
			v.kind = broken
			return v
		}
		v.kind, v.text = number, literal
	default:
		p.rep.here(v.place, "the YAML tag %s has no meaning here: leave it out", tag)
		v.kind = broken
	}
	return v
}

// jsonNumber writes a YAML number (0x10, 1_000, +1, .5) as JSON does; a JSON number stays as it is, of any length.
func jsonNumber(s string) (string, bool) {
	if json.Valid([]byte(s)) {
		return s, true
	}
	plain := strings.ReplaceAll(s, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(i, 10), true
	}
	if u, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return strconv.FormatUint(u, 10), true
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", false
	}
	raw, err := json.Marshal(f)
	return string(raw), err == nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// jsonParser builds trees from JSON. It exists beside YAML's because JSON is not quite a subset: YAML knows neither
// surrogate pairs nor tabs as indentation.
type jsonParser struct {
	raw []byte
	dec *json.Decoder
	rep *report
	// at is the place of the byte at offset.
	at     place
	offset int
}

// errReported stops a parser whose report already says why.
var errReported = errors.New("reported")

// parseJSON reads a stream of JSON objects; false when the syntax is broken.
func parseJSON(raw []byte, rep *report) ([]*value, bool) {
	p := &jsonParser{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw)), rep: rep, at: place{1, 1}}
	p.dec.UseNumber()
	var docs []*value
	for {
		v, err := p.value(0)
		switch {
		case err == nil:
			docs = append(docs, v)
		case errors.Is(err, io.EOF):
			return docs, true
		case errors.Is(err, errReported):
			return nil, false
		default:
			p.failed(err)
			return nil, false
		}
	}
}

// failed reports broken syntax at the place where it was found.
func (p *jsonParser) failed(err error) {
	offset := int(p.dec.InputOffset())
	message := err.Error()
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = max(offset, int(syntax.Offset)-1)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		offset, message = len(p.raw), "the text ends too early: a bracket or quote is not closed"
	}
	p.advance(min(offset, len(p.raw)))
	p.rep.trail = nil
	p.rep.here(p.at, "broken JSON: %s", message)
}

// advance moves on to a byte offset, counting lines and characters.
func (p *jsonParser) advance(to int) {
	for p.offset < to {
		switch c := p.raw[p.offset]; {
		case c == '\n':
			p.at = place{p.at.line + 1, 1}
		case utf8.RuneStart(c):
			p.at.column++
		}
		p.offset++
	}
}

// token reads the next token and where it begins. The decoder tells only where a token ends, so what may stand between
// tokens is skipped first.
func (p *jsonParser) token() (json.Token, place, error) {
	begin := int(p.dec.InputOffset())
	for begin < len(p.raw) && bytes.IndexByte([]byte(" \t\r\n,:"), p.raw[begin]) >= 0 {
		begin++
	}
	p.advance(begin)
	at := p.at
	token, err := p.dec.Token()
	return token, at, err
}

func (p *jsonParser) value(depth int) (*value, error) {
	token, at, err := p.token()
	if err != nil {
		if depth > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if depth > maxDepth {
		p.rep.here(at, "nests deeper than %d levels", maxDepth)
		return nil, errReported
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return p.list(at, depth)
		}
		return p.object(at, depth)
	case string:
		return &value{kind: text, place: at, text: token}, nil
	case json.Number:
		return &value{kind: number, place: at, text: token.String()}, nil
	case bool:
		return &value{kind: boolean, place: at, text: map[bool]string{true: "true", false: "false"}[token]}, nil
	default:
		return &value{kind: null, place: at}, nil
	}
}

func (p *jsonParser) list(at place, depth int) (*value, error) {
	v := &value{kind: list, place: at}
	for p.dec.More() {
		p.rep.enterItem(len(v.items))
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		p.rep.leave()
		v.items = append(v.items, item)
	}
	return v, p.end()
}

func (p *jsonParser) object(at place, depth int) (*value, error) {
	v := &value{kind: object, place: at}
	keys := newKeys(p.rep)
	for p.dec.More() {
		token, keyAt, err := p.token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok { // the decoder refuses other keys itself
			return nil, io.ErrUnexpectedEOF
		}
		p.rep.enter(key)
		below, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		p.rep.leave()
		if keys.first(key, keyAt) {
			v.fields = append(v.fields, member{place: keyAt, key: key, value: below})
		}
	}
	return v, p.end()
}

// end reads the bracket that closes a list or an object.
func (p *jsonParser) end() error {
	_, _, err := p.token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

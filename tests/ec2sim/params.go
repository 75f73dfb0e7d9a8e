// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
)

// params reads a request's parameters, and knows which of them nobody has read.
type params struct {
	values url.Values
	read   map[string]bool
}

func newParams(values url.Values) *params {
	return &params{values: values, read: map[string]bool{"Action": true, "Version": true}}
}

// end fails when a parameter was sent that the action does not know. Call it after reading, before acting.
func (p *params) end() error {
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if !p.read[name] {
			return unknownParameter(name)
		}
	}
	return nil
}

func (p *params) text(name string) string {
	p.read[name] = true
	return p.values.Get(name)
}

// list reads name.1, name.2 and so on.
func (p *params) list(name string) []string {
	var out []string
	for i := 1; p.values.Has(indexed(name, i)); i++ {
		out = append(out, p.text(indexed(name, i)))
	}
	return out
}

// members reads name.1.field, name.2.field and so on.
func (p *params) members(name, field string) []string {
	var out []string
	for i := 1; p.values.Has(indexed(name, i) + "." + field); i++ {
		out = append(out, p.text(indexed(name, i)+"."+field))
	}
	return out
}

func indexed(name string, i int) string { return fmt.Sprintf("%s.%d", name, i) }

// count reads a number; false when it was not sent.
func (p *params) count(name string) (int, bool, error) {
	text := p.text(name)
	if text == "" {
		return 0, false, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, false, invalidValue("Invalid value '%s' for %s", text, name)
	}
	return n, true, nil
}

func (p *params) flag(name string) (bool, error) {
	switch text := p.text(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalidValue("Invalid value '%s' for %s", text, name)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// schema is the part of JSON Schema, and of the dialect of CRDs, that our schemas use. A keyword that is not listed
// here is an error on reading a schema, so that no rule is ever skipped silently.
type schema struct {
	Type        string   `json:"type"`
	Format      string   `json:"format"`
	Description string   `json:"description"`
	Enum        []string `json:"enum"`
	Pattern     string   `json:"pattern"`

	Minimum   *int64 `json:"minimum"`
	Maximum   *int64 `json:"maximum"`
	MinLength int    `json:"minLength"`
	MaxLength *int   `json:"maxLength"`

	Items      *schema  `json:"items"`
	MinItems   int      `json:"minItems"`
	MaxItems   *int     `json:"maxItems"`
	ListType   string   `json:"x-kubernetes-list-type"`
	ListKeys   []string `json:"x-kubernetes-list-map-keys"`
	Properties map[string]*schema
	// Free: any field is allowed. Values: the schema of the fields of a map.
	Free          bool
	Values        *schema
	Required      []string `json:"required"`
	MinProperties int      `json:"minProperties"`
	MaxProperties *int     `json:"maxProperties"`

	// orEmpty allows "" besides: how an optional address says that there is none.
	orEmpty bool
}

// ignored are keywords without a rule in them, and those whose rules are kept elsewhere: defaults and CEL are the
// business of package network's library.
type ignored struct {
	Schema      json.RawMessage `json:"$schema"`
	Title       json.RawMessage `json:"title"`
	Default     json.RawMessage `json:"default"`
	MapType     json.RawMessage `json:"x-kubernetes-map-type"`
	Validations json.RawMessage `json:"x-kubernetes-validations"`
}

// UnmarshalJSON reads a schema, refusing keywords that it does not know.
func (s *schema) UnmarshalJSON(raw []byte) error {
	type keywords schema
	doc := struct {
		*keywords
		ignored
		Properties map[string]*schema `json:"properties"`
		Additional json.RawMessage    `json:"additionalProperties"`
		AnyOf      []*schema          `json:"anyOf"`
	}{keywords: (*keywords)(s)}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return err
	}
	s.Properties = doc.Properties
	switch string(doc.Additional) {
	case "", "false":
	case "true":
		s.Free = true
	default:
		if err := json.Unmarshal(doc.Additional, &s.Values); err != nil {
			return err
		}
	}
	return s.alternatives(doc.AnyOf)
}

// alternatives understands the one use of anyOf that our schemas make: a format, or nothing.
func (s *schema) alternatives(anyOf []*schema) error {
	if len(anyOf) == 0 {
		return nil
	}
	if len(anyOf) != 2 || anyOf[0].Format == "" || !slices.Equal(anyOf[1].Enum, []string{""}) {
		return fmt.Errorf("anyOf is understood as a format or the empty string only")
	}
	s.Format, s.orEmpty = anyOf[0].Format, true
	return nil
}

// names lists the fields that an object may have.
func (s *schema) names() []string {
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// summary is the first sentence of the description, as part of a message.
func (s *schema) summary() string {
	first, _, _ := strings.Cut(s.Description, "\n")
	first, _, _ = strings.Cut(first, ". ")
	return strings.TrimSuffix(first, ".")
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package document reads the files that users write: inventories and networks, as YAML or JSON. Whatever is wrong with
// a file is reported in one go, each problem with line, column, field, what is wrong and what is allowed.
//
// The rules are not kept here: they are the schemas that package manifests embeds, those of the CRDs for networks and
// a schema generated from the same kind of markers for inventories. This package walks a file's tree along a schema,
// so that each problem has a place; rules in CEL are evaluated by the library that the API server uses.
//
// It may import api, manifests, apimachinery, apiextensions-apiserver (for CEL and defaults) and a YAML parser. It does
// no I/O but reading from the given reader.
//
// Invariants: what is read is what was written, no defaults filled in; no input makes it panic; work and memory are
// bounded by the size of the input, which is bounded too.
package document

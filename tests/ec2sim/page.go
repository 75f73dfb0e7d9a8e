// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// paging is how one action pages. Codes and texts differ from action to action.
type paging struct {
	// smallest and largest MaxResults.
	smallest, largest int
	// usual page size when MaxResults is absent; 0 for all.
	usual int
	// clamps: more than the largest is taken as the largest.
	clamps bool
	// ids is the parameter that lists ids, and cannot be used together with MaxResults.
	ids string

	tooSmall, tooLarge func(n int) *Error
	withIDs            func() *Error
	badToken           func(token string) *Error
}

// usualPaging is that of subnets, VPCs and network interfaces; idsName is EC2's name for the parameter ids.
func usualPaging(ids, idsName string) paging {
	const text = "Value ( %d ) for parameter MaxResults is invalid. Expecting a value %s."
	return paging{
		smallest: 5, largest: 1000, ids: ids,
		tooSmall: func(n int) *Error { return invalidValue(text, n, "greater than or equal to 5") },
		tooLarge: func(n int) *Error { return invalidValue(text, n, "smaller than or equal to 1000") },
		withIDs: func() *Error {
			return client("InvalidParameterCombination", "The parameter %s cannot be used with the parameter MaxResults", idsName)
		},
		badToken: func(token string) *Error {
			return invalidValue("Value ( %s ) for parameter NextToken is invalid. The token is invalid.", token)
		},
	}
}

// cursor is what a token holds: it goes on behind the last id, so that changes between pages lose nothing.
type cursor struct {
	After string
	// Request is a digest of action and filters: a token is good for the same request only.
	Request uint64
}

// request reads what page is wanted.
func (g paging) request(p *params) (page pageRequest, err error) {
	token := p.text("NextToken")
	n, given, err := p.count("MaxResults")
	if err != nil {
		return page, err
	}
	page.digest = digest(p.values)
	page.size = g.usual
	if given {
		page.size = n
		hasIDs := slices.ContainsFunc(slices.Collect(maps.Keys(p.values)), func(name string) bool {
			return strings.HasPrefix(name, g.ids+".")
		})
		switch {
		case hasIDs:
			return page, g.withIDs()
		case n < g.smallest:
			return page, g.tooSmall(n)
		case n > g.largest && !g.clamps:
			return page, g.tooLarge(n)
		}
		page.size = min(n, g.largest)
	}
	if token != "" {
		var c cursor
		text, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || json.Unmarshal(text, &c) != nil || c.Request != page.digest {
			return page, g.badToken(token)
		}
		page.after = c.After
	}
	return page, nil
}

// pageRequest is the page that a request wants.
type pageRequest struct {
	size   int
	after  string
	digest uint64
}

// cut takes a page out of items, sorted by id, and gives the token of the next one; empty at the end.
func cut[T any](r pageRequest, items []T, id func(T) string) ([]T, string) {
	from := 0
	if r.after != "" {
		at, found := slices.BinarySearchFunc(items, r.after, func(item T, after string) int { return strings.Compare(id(item), after) })
		from = at
		if found {
			from++
		}
	}
	items = items[from:]
	if r.size == 0 || len(items) <= r.size {
		return items, ""
	}
	text, err := json.Marshal(cursor{After: id(items[r.size-1]), Request: r.digest})
	if err != nil {
		return items, ""
	}
	return items[:r.size], base64.RawURLEncoding.EncodeToString(text)
}

// digest of everything but the token and the size of the page.
func digest(values url.Values) uint64 {
	values = maps.Clone(values)
	values.Del("NextToken")
	values.Del("MaxResults")
	h := fnv.New64a()
	_, _ = h.Write([]byte(values.Encode()))
	return h.Sum64()
}

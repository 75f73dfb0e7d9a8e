// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"strconv"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// exactBelow is where numbers begin to be rounded. Below, they have seven digits at most, which are no wider than a column's head: so the sum of a
// hundred nodes' /112 or of all IPv4 subnets is written as its parts are, and adds up.
const exactBelow = 10_000_000

// number of addresses, rounded down to three digits from exactBelow on: 281474976710656 is 281T.
func number(n int64) string {
	if n < exactBelow {
		return strconv.FormatInt(n, 10)
	}
	if n >= iprange.MaxSize {
		return ">9P"
	}
	unit, value := 0, n
	for value >= 1_000_000 {
		value /= 1000
		unit++
	}
	// value counts thousandths of the unit.
	whole, thousandths := value/1000, value%1000
	text := strconv.FormatInt(whole, 10)
	switch {
	case whole < 10:
		text += "." + strconv.FormatInt(100+thousandths/10, 10)[1:]
	case whole < 100:
		text += "." + strconv.FormatInt(thousandths/100, 10)
	}
	return text + "KMGTP"[unit:unit+1]
}

// thousands is a number as plan.Count writes it: 20,000.
func thousands(n int) string {
	text, _, _ := strings.Cut(plan.Count(n, ""), " ")
	return text
}

// add sums numbers of addresses, up to iprange.MaxSize.
func add(a, b int64) int64 { return min(a+b, iprange.MaxSize) }

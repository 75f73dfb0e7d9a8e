// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                  "plain",
		"盛é":                     "盛é",
		"a\nb\tc\r":              `a\nb\tc\r`,
		"\x1b[2J\x1b]0;x\a":      `\x1b[2J\x1b]0;x\a`,
		"\u009b31m":              `\u009b31m`,
		"\u202eevil\u2066":       `\u202eevil\u2066`,
		"\xff\xef":               `\xff\xef`,
		"\uFFFD":                 "\uFFFD",
		"❤\ufe0f":                `❤\ufe0f`,
		"zero\u200bwidth\u00a0x": `zero\u200bwidth\u00a0x`,
		"\x7f":                   `\x7f`,
	} {
		s := newSymbols(true)
		if got := s.clean(text); got != want {
			t.Errorf("clean(%q) = %s, want %s", text, got, want)
		}
	}
	s := newSymbols(false)
	if got, want := s.clean("盛é"), `\u76db\u00e9`; got != want {
		t.Errorf("clean without unicode = %s, want %s", got, want)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int64]string{
		0:                   "0",
		196_608:             "196608",
		9_999_999:           "9999999",
		10_000_000:          "10.0M",
		19_999_999:          "19.9M",
		16_777_216:          "16.7M",
		999_999_999:         "999M",
		1_000_000_000:       "1.00G",
		1 << 48:             "281T",
		iprange.MaxSize - 1: "9.00P",
		iprange.MaxSize:     ">9P",
		math.MaxInt64:       ">9P",
	} {
		if got := number(n); got != want {
			t.Errorf("number(%d) = %s, want %s", n, got, want)
		}
	}
}

// TestNumberIsNeverTooLarge: rounded down, and within one percent.
func TestNumberIsNeverTooLarge(t *testing.T) {
	units := map[byte]float64{'M': 1e6, 'G': 1e9, 'T': 1e12, 'P': 1e15}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(exactBelow, iprange.MaxSize-1).Draw(t, "n")
		text := number(n)
		var value float64
		if _, err := fmt.Sscanf(text[:len(text)-1], "%g", &value); err != nil {
			t.Fatal(err)
		}
		value *= units[text[len(text)-1]]
		if float64(n) < value*(1-1e-9) || float64(n) > value*1.01 {
			t.Fatalf("number(%d) = %s", n, text)
		}
	})
}

func TestCutList(t *testing.T) {
	s := newSymbols(true)
	const list = "10.0.0.16/28, 10.0.0.32/28, 10.0.0.48/28"
	for columns, want := range map[int]string{
		40: list,
		39: "10.0.0.16/28, 10.0.0.32/28 +1",
		28: "10.0.0.16/28 +2",
		14: "10.0.…16/28 +2",
		5:  "10…28",
	} {
		if got := s.cutList(list, columns); got != want {
			t.Errorf("cutList(%d) = %s, want %s", columns, got, want)
		}
	}
	if got, want := s.cutList("2406:da1e:c4:ed01:c57d::/80", 21), "2406:da1e:…:c57d::/80"; got != want {
		t.Errorf("cutList = %s, want %s", got, want)
	}
}

// TestDifferenceStaysInSight: values that differ still differ when they are cut.
func TestDifferenceStaysInSight(t *testing.T) {
	word := rapid.StringMatching(`[a-z,"0-9é节]{0,200}`)
	rapid.Check(t, func(t *rapid.T) {
		start, end := word.Draw(t, "start"), word.Draw(t, "end")
		old, wanted := rapid.StringMatching(`[A-L]{0,9}`).Draw(t, "old"), rapid.StringMatching(`[M-Z]{1,9}`).Draw(t, "new")
		columns := rapid.IntRange(20, 150).Draw(t, "columns")
		s := newSymbols(true)
		a, b := s.cutDifference(start+old+end, start+wanted+end, columns)
		if !strings.Contains(a, old) || !strings.Contains(b, wanted) {
			t.Fatalf("%q and %q do not show %q and %q", a, b, old, wanted)
		}
		if width(a) > columns || width(b) > columns {
			t.Fatalf("wider than %d: %q, %q", columns, a, b)
		}
	})
}

func TestShellWords(t *testing.T) {
	got := shellWords(`kubectl get x -o jsonpath='{.items[*].spec  .ranges}' --note "it's so"`)
	want := []string{"kubectl", "get", "x", "-o", `jsonpath='{.items[*].spec  .ranges}'`, "--note", `"it's so"`}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// TestMatchPattern compares patterns with the regular expressions that they stand for.
func TestMatchPattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"*", "?", `\*`, `\?`, `\\`, "a", "b"}), 0, 8).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune(`ab*?\`)), 0, 8, -1).Draw(t, "text")
		pattern, expression := "", ""
		for _, part := range parts {
			pattern += part
			switch part {
			case "*":
				expression += ".*"
			case "?":
				expression += "."
			case "a", "b":
				expression += part
			default:
				expression += regexp.QuoteMeta(part[1:])
			}
		}
		want := regexp.MustCompile("^(?:" + expression + ")$").MatchString(s)
		if got := matchPattern(pattern, s); got != want {
			t.Fatalf("pattern %q, text %q: got %t", pattern, s, got)
		}
	})
}

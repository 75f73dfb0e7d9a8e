// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxPrinted is how many problems Error prints: what fits a screen and can be worked off at once.
const maxPrinted = 20

// Problem is one thing wrong with a file.
type Problem struct {
	// File is the name given to the reader; stdin for "-".
	File string
	// Line and Column count from 1; 0 when the problem has no place, as with an empty file.
	Line, Column int
	// Field is the path of the field, as in nodes[0].name; empty for the whole document.
	Field string
	// Message says what is wrong and what is allowed.
	Message string
}

// String gives file:line:column: field: message.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	if p.Field != "" {
		b.WriteString(": " + p.Field)
	}
	b.WriteString(": " + p.Message)
	return b.String()
}

// Error is everything wrong with a file, by line.
type Error struct {
	Problems []Problem
}

// Error prints a line per problem, the first 20 of them.
func (e *Error) Error() string {
	lines := make([]string, 0, min(len(e.Problems), maxPrinted)+1)
	for i, p := range e.Problems {
		if i == maxPrinted {
			lines = append(lines, fmt.Sprintf("%s: and %d more problems", p.File, len(e.Problems)-maxPrinted))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// asError sorts problems by place; nil when there are none.
func asError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Field, b.Field), strings.Compare(a.Message, b.Message))
	})
	return &Error{Problems: slices.Compact(problems)}
}

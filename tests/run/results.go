// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"time"
)

// outcome is how a case ended, in the words of "go test -json".
type outcome string

const (
	pass outcome = "pass"
	fail outcome = "fail"
	skip outcome = "skip"
)

// testCase is one test or subtest; or a package or another step that failed by itself, with an empty name.
type testCase struct {
	suite   string // the package's path or the step's name
	name    string // the test's
	outcome outcome
	elapsed time.Duration
	output  string // kept unless it passed
}

func (c testCase) String() string {
	if c.name == "" {
		return c.suite
	}
	return c.suite + " " + c.name
}

// results are the cases in the order in which they ended.
type results struct {
	strict bool      // a skipped case is a failure
	follow io.Writer // gets a line for each case as it is added, unless nil
	cases  []testCase
}

func (r *results) add(c testCase) {
	r.cases = append(r.cases, c)
	if r.follow != nil {
		fmt.Fprintf(r.follow, "%s  %s  %s s\n", c.outcome, c.name, seconds(c.elapsed))
	}
}

// with returns the cases that ended so.
func (r *results) with(o outcome) []testCase {
	var cases []testCase
	for _, c := range r.cases {
		if c.outcome == o {
			cases = append(cases, c)
		}
	}
	return cases
}

func (r *results) passed() int { return len(r.with(pass)) }

func (r *results) failed() int {
	if r.strict {
		return len(r.with(fail)) + len(r.with(skip))
	}
	return len(r.with(fail))
}

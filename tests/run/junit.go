// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The elements of JUnit's format, as CI systems read it.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"` // seconds; of its cases together, where tests ran in parallel too
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"` // seconds
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes the results to path, one suite per package, in the order in which they first occur.
func writeJUnit(path string, results *results) error {
	content, err := xml.MarshalIndent(junit(results), "", "  ")
	if err != nil {
		return fmt.Errorf("write the test report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the test report: %w", err)
	}
	if err := os.WriteFile(path, append([]byte(xml.Header), content...), 0o644); err != nil {
		return fmt.Errorf("write the test report: %w", err)
	}
	return nil
}

func junit(results *results) junitSuites {
	var names []string
	bySuite := map[string][]testCase{}
	for _, c := range results.cases {
		if _, ok := bySuite[c.suite]; !ok {
			names = append(names, c.suite)
		}
		bySuite[c.suite] = append(bySuite[c.suite], c)
	}
	suites := junitSuites{}
	for _, name := range names {
		suites.Suites = append(suites.Suites, newJUnitSuite(name, bySuite[name], results.strict))
	}
	return suites
}

func newJUnitSuite(name string, cases []testCase, strict bool) junitSuite {
	suite := junitSuite{Name: name, Tests: len(cases)}
	var total time.Duration
	for _, c := range cases {
		reported := junitCase{Class: c.suite, Name: c.name, Time: milliseconds(c.elapsed)}
		if c.name == "" {
			reported.Name = "(the whole)"
		}
		switch {
		case c.outcome == fail:
			suite.Failures++
			reported.Failure = &junitMessage{"failed", c.output}
		case c.outcome == skip && strict:
			suite.Failures++
			reported.Failure = &junitMessage{"skipped, though nothing may be", c.output}
		case c.outcome == skip:
			suite.Skipped++
			reported.Skipped = &junitMessage{"skipped", c.output}
		}
		suite.Cases = append(suite.Cases, reported)
		total += c.elapsed
	}
	suite.Time = milliseconds(total)
	return suite
}

// milliseconds gives seconds to the millisecond, as the format wants.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

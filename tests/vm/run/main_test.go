// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// TestRun runs packages with all kinds of endings in one machine, which the last of them kills.
func TestRun(t *testing.T) {
	t.Setenv("CI", "")
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{
		"-json", "./testdata/mixed", "./testdata/plain", "./testdata/exits", "./testdata/panics",
	}, &stdout, &stderr)
	if !errors.Is(err, errFailed()) {
		t.Errorf("error %v, want %v\n%s", err, errFailed(), &stderr)
	}
	const module = "github.com/underlay-dev/kubectl-underlay/tests/vm/run/testdata/"
	want := map[string]string{
		module + "mixed TestPasses":         "pass",
		module + "mixed TestPasses/subtest": "pass",
		module + "mixed TestFails":          "fail",
		module + "mixed TestSkips":          "skip",
		module + "mixed ":                   "fail",
		module + "exits ":                   "fail",
		module + "panics ":                  "fail",
	} // a test that ends its process has no result of its own
	if diff := cmp.Diff(want, results(t, &stdout)); diff != "" {
		t.Errorf("results in the events (-want +got):\n%s", diff)
	}
	for _, want := range []string{"vm: 2 passed, 3 failed, 1 skipped;", "Kernel panic - not syncing: sysrq triggered crash"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("no %q in what it says:\n%s", want, &stderr)
		}
	}
}

// results returns how tests and packages ended, according to the events.
func results(t *testing.T, events io.Reader) map[string]string {
	t.Helper()
	ended := map[string]string{}
	for decoder := json.NewDecoder(events); ; {
		var event struct{ Action, Package, Test string }
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return ended
		} else if err != nil {
			t.Fatal(err)
		}
		switch event.Action {
		case "pass", "fail", "skip":
			ended[event.Package+" "+event.Test] = event.Action
		}
	}
}

// TestSuite feeds it the output of test binaries.
func TestSuite(t *testing.T) {
	const skips = "\x16=== RUN   TestSkips\n\x16--- SKIP: TestSkips (0.00s)\n    x_test.go:1: no\n\x16PASS\n"
	for name, test := range map[string]struct {
		output string
		ended  error
		ci     string
		want   error
		counts string
	}{
		"passes":               {output: "\x16=== RUN   TestX\n\x16--- PASS: TestX (0.00s)\n\x16PASS\n", ci: "true", counts: "1 passed, 0 failed, 0 skipped"},
		"skips":                {output: skips, counts: "0 passed, 0 failed, 1 skipped"},
		"skips in CI":          {output: skips, ci: "true", want: errFailed(), counts: "0 passed, 0 failed, 1 skipped"},
		"no test":              {output: "testing: warning: no tests to run\n\x16PASS\n", counts: "0 passed, 0 failed, 0 skipped"},
		"no test in CI":        {output: "testing: warning: no tests to run\n\x16PASS\n", ci: "true", want: errFailed(), counts: "0 passed, 0 failed, 0 skipped"},
		"fails without a test": {output: "TestMain failed\n", ended: &vm.ExitError{Program: "x.test", Code: 1}, want: errFailed(), counts: "0 passed, 1 failed, 0 skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			r := &report{out: io.Discard}
			s, err := r.begin(t.Context(), "example.org/x")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(s, test.output); err != nil {
				t.Fatal(err)
			}
			if err := s.end(test.ended); err != nil {
				t.Fatal(err)
			}
			if err := r.verdict(io.Discard); !errors.Is(err, test.want) {
				t.Errorf("verdict %v, want %v", err, test.want)
			}
			if got := r.String(); got != test.counts {
				t.Errorf("counted %s, want %s", got, test.counts)
			}
		})
	}
}

func TestNothingToRun(t *testing.T) {
	err := run(t.Context(), []string{"./testdata/plain"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "//go:build vm") {
		t.Errorf("error %v, want one that says how a test asks for the machine", err)
	}
}

func TestBrokenPackage(t *testing.T) {
	err := run(t.Context(), []string{"./testdata/absent"}, io.Discard, io.Discard)
	if err == nil || errors.Is(err, errFailed()) {
		t.Errorf("error %v, want one of go list", err)
	}
}

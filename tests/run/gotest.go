// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// event is what "go test -json" prints for each thing that happens; "go doc test2json" and "go help buildjson"
// describe it.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of a build event, instead of Package
	Test        string // empty: the package itself
	Elapsed     float64
	Output      string
	FailedBuild string // of a package's failure: the ImportPath that did not build
}

// testTimeout is for each package. A cold build of the plugin for another system takes minutes.
const testTimeout = "40m"

// runTests runs all Go tests and adds them to the results. Tests of packages that have not changed since they passed
// are not run again but counted from Go's cache, unless strict. It returns an error only for a failure which no test or
// package accounts for.
func runTests(ctx context.Context, w io.Writer, results *results) error {
	args := []string{"test", "-json", "-timeout=" + testTimeout}
	if results.strict {
		args = append(args, "-count=1")
	}
	return runEvents(ctx, w, results, command(ctx, "go", append(args, "./...")...), io.Discard)
}

// runEvents runs a command that prints events, adds its tests to the results, and copies the events. It returns an
// error only for a failure which no test or package accounts for.
func runEvents(ctx context.Context, w io.Writer, results *results, cmd *exec.Cmd, events io.Writer) error {
	cmd.Stderr = w
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run the tests: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run the tests: %w", err)
	}
	failedBefore := results.failed()
	readErr := readEvents(io.TeeReader(stdout, events), w, results)
	_, drainErr := io.Copy(io.Discard, stdout) // else the command could block on a pipe that nobody reads
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && results.failed() > failedBefore && ctx.Err() == nil {
		err = nil
	}
	return errors.Join(readErr, drainErr, err)
}

// readEvents reads the stream of events, prints a line for each package, and the output of what failed, and adds every
// test to the results.
func readEvents(stream io.Reader, w io.Writer, results *results) error {
	reader := eventReader{w: w, results: results, outputs: map[string]*strings.Builder{}, tests: map[string]int{}}
	decoder := json.NewDecoder(stream)
	for {
		var e event
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the events of go test: %w", err)
		}
		reader.read(e)
	}
}

// eventReader gathers what belongs together: a test's events come mixed with those of others.
type eventReader struct {
	w       io.Writer
	results *results
	outputs map[string]*strings.Builder // by test, package or build: its output so far
	tests   map[string]int              // by package: how many tests ended
}

func (r *eventReader) read(e event) {
	key := e.ImportPath + e.Package + "\x00" + e.Test
	switch e.Action {
	case "output", "build-output":
		output, ok := r.outputs[key]
		if !ok {
			output = &strings.Builder{}
			r.outputs[key] = output
		}
		output.WriteString(e.Output)
	case "pass", "fail", "skip":
		output := r.take(key)
		if e.FailedBuild != "" {
			output = r.take(e.FailedBuild+"\x00") + output
		}
		c := testCase{
			suite: e.Package, name: e.Test, outcome: outcome(e.Action), output: output,
			elapsed: time.Duration(e.Elapsed * float64(time.Second)),
		}
		if e.Test == "" {
			r.endPackage(c)
		} else {
			r.endTest(c)
		}
	}
}

// take returns the output kept under key and forgets it.
func (r *eventReader) take(key string) string {
	output, ok := r.outputs[key]
	if !ok {
		return ""
	}
	delete(r.outputs, key)
	return output.String()
}

// unfinished takes the output of the package's tests that never ended, since one of them ended the process.
func (r *eventReader) unfinished(pkg string) string {
	var output strings.Builder
	for _, key := range slices.Sorted(maps.Keys(r.outputs)) {
		if strings.HasPrefix(key, pkg+"\x00") {
			output.WriteString(r.take(key))
		}
	}
	return output.String()
}

func (r *eventReader) endTest(c testCase) {
	r.tests[c.suite]++
	if c.outcome == pass {
		c.output = ""
	}
	r.results.add(c)
	if c.outcome == fail {
		fmt.Fprint(r.w, c.output)
	}
}

// endPackage ends a package. Its failure is a case of its own only if none of its tests failed: it did not build, or
// died outside its tests. That a package has no tests is none.
func (r *eventReader) endPackage(c testCase) {
	explained := false
	for _, test := range r.results.with(fail) {
		explained = explained || test.suite == c.suite
	}
	if c.outcome == fail && !explained {
		c.output += r.unfinished(c.suite)
		r.results.add(c)
		fmt.Fprint(r.w, c.output)
	}
	if c.outcome == skip {
		return
	}
	if r.results.follow != nil {
		fmt.Fprint(r.w, c.output)
	}
	fmt.Fprintf(r.w, "%s  %s  %d tests, %s s\n", c.outcome, c.suite, r.tests[c.suite], seconds(c.elapsed))
}

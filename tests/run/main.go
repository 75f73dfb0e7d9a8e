// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command run is what "make test" does: it installs what the machine lacks, checks that generated files are current,
// lints, builds the programs that tests need, runs all Go tests, those in a virtual machine, those on a cluster of
// virtual machines, and says where the time went. With -only STEP it does one step alone. Its last line counts:
// "N passed, N failed", where every test and subtest is one, as is a package or another step that fails by itself.
// With CI=true a skipped test fails too. The same results go to build/test/junit.xml.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

func main() {
	only := flag.String("only", "", "the `step` to do alone, such as \""+clusterStep+"\"")
	flag.Parse()
	ok, err := run(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "make test:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run does all steps, or the only one, whatever fails among them, and says whether all was well.
func run(only string) (ok bool, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := pinned.Root()
	if err != nil {
		return false, err
	}
	if err := os.Chdir(root); err != nil {
		return false, fmt.Errorf("enter the repository: %w", err)
	}
	// Unset or unreadable means somebody's own machine.
	strict, _ := strconv.ParseBool(os.Getenv("CI"))

	results := &results{strict: strict}
	todo := steps(results)
	if only != "" {
		todo = slices.DeleteFunc(todo, func(s step) bool { return s.name != only })
	}
	if len(todo) == 0 {
		return false, fmt.Errorf("there is no step %q", only)
	}
	timings := runSteps(ctx, os.Stdout, todo, results)

	if err := writeJUnit(filepath.Join("build", "test", "junit.xml"), results); err != nil {
		return false, err
	}
	summarize(os.Stdout, results, timings)
	return results.failed() == 0, ctx.Err()
}

// summarize prints what a reader looks for at the end.
func summarize(w io.Writer, results *results, timings []timing) {
	fmt.Fprintln(w)
	if skipped := results.with(skip); len(skipped) > 0 {
		fmt.Fprintf(w, "NOT RUN: %d tests were skipped", len(skipped))
		if results.strict {
			fmt.Fprint(w, ", which CI=true counts as failed")
		}
		fmt.Fprintln(w, ":")
		for _, c := range skipped {
			fmt.Fprintf(w, "  %s: %s\n", c, skipReason(c.output))
		}
		fmt.Fprintln(w)
	}
	if failed := results.with(fail); len(failed) > 0 {
		fmt.Fprintln(w, "FAILED:")
		for _, c := range failed {
			fmt.Fprintf(w, "  %s\n", c)
		}
		fmt.Fprintln(w)
	}
	printTimings(w, timings)
	fmt.Fprintf(w, "\n%d passed, %d failed\n", results.passed(), results.failed())
}

// skipReason finds in a skipped test's output what it had to say.
func skipReason(output string) string {
	var said []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	return cmp.Or(strings.Join(said, " "), "no reason given")
}

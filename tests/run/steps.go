// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

// waitDelay is how long a command that was told to end may take before it is killed.
const waitDelay = 10 * time.Second

// step is one part of the run. What it prints goes to w; an error means that it failed.
type step struct {
	name string
	run  func(ctx context.Context, w io.Writer) error
}

// steps returns what there is to do. Tests add what they find to results by themselves.
func steps(results *results) []step {
	return []step{
		{"prerequisites", installMissing},
		{"generated files", func(ctx context.Context, w io.Writer) error {
			return checkGenerated(ctx, w, results.strict)
		}},
		{"lint", func(ctx context.Context, w io.Writer) error {
			fmt.Fprintln(w, "(the first run on a machine builds the linters, which takes minutes)")
			return runCommand(ctx, w, "make", "--no-print-directory", "lint")
		}},
		{"control plane programs", func(ctx context.Context, w io.Writer) error {
			_, err := controlplane.Binaries(ctx, w)
			return err
		}},
		{"cluster programs", func(ctx context.Context, w io.Writer) error {
			if runtime.GOOS != "linux" || os.Geteuid() != 0 {
				fmt.Fprintln(w, "not built: clusters need root on Linux")
				return nil
			}
			return runCommand(ctx, w, "go", "run", "./tests/cluster/run", "build")
		}},
		{"tests", func(ctx context.Context, w io.Writer) error { return runTests(ctx, w, results) }},
		{"tests in a virtual machine", func(ctx context.Context, w io.Writer) error { return runVMTests(ctx, w, results) }},
		{clusterStep, func(ctx context.Context, w io.Writer) error { return runClusterTests(ctx, w, results) }},
	}
}

// clusterStep is the name of the step that "make e2e" does alone.
const clusterStep = "tests on a cluster"

// timing is how long a step took.
type timing struct {
	name    string
	elapsed time.Duration
	failed  bool
}

// runSteps runs all steps until the context ends, adding those that fail to the results.
func runSteps(ctx context.Context, w io.Writer, steps []step, results *results) []timing {
	var timings []timing
	for _, s := range steps {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintf(w, "\n== %s\n", s.name)
		var output bytes.Buffer
		start := time.Now()
		err := s.run(ctx, &lockedWriter{w: io.MultiWriter(w, &output)})
		elapsed := time.Since(start)
		if err != nil {
			fmt.Fprintln(w, err)
			fmt.Fprintln(&output, err)
			results.add(testCase{suite: "make test: " + s.name, outcome: fail, elapsed: elapsed, output: output.String()})
		}
		timings = append(timings, timing{s.name, elapsed, err != nil})
	}
	return timings
}

// lockedWriter lets a step and the commands it runs print at the same time.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// printTimings prints where the time went.
func printTimings(w io.Writer, timings []timing) {
	const line = "%-28s %8s\n"
	var total time.Duration
	fmt.Fprintf(w, line, "step", "seconds")
	for _, t := range timings {
		name := t.name
		if t.failed {
			name += " (failed)"
		}
		fmt.Fprintf(w, line, name, seconds(t.elapsed))
		total += t.elapsed
	}
	fmt.Fprintf(w, line, "total", seconds(total))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// runCommand runs a command that prints to w.
func runCommand(ctx context.Context, w io.Writer, name string, args ...string) error {
	cmd := command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", cmd, err)
	}
	return nil
}

// command returns a command that is interrupted when the context ends, so that it can clean up.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = waitDelay
	return cmd
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// report prints what happens in the machine and counts.
type report struct {
	out    io.Writer
	json   bool // print events, not text
	passed int
	failed int // tests, and packages that failed without one
	// Tests that were skipped, and packages none of whose tests ran.
	skipped, empty []string
}

// suite is a package whose tests run. What is written to it is the output of its test binary.
type suite struct {
	io.WriteCloser // to the converter
	report         *report
	path           string
	start          time.Time
	converter      *exec.Cmd
	read           chan error // the result of reading the converter's events

	tests, failed int
}

// begin starts the converter from a test binary's output to events, the go command's own.
func (r *report) begin(ctx context.Context, path string) (*suite, error) {
	// It must live to the end of its input even if the context ends.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "go", "tool", "test2json", "-t", "-p", path)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("convert the output of tests: %w", err)
	}
	events, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("convert the output of tests: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("convert the output of tests: %w", err)
	}
	s := &suite{WriteCloser: input, report: r, path: path, start: time.Now(), converter: cmd, read: make(chan error, 1)}
	go func() { s.read <- s.events(events) }()
	return s, nil
}

// end ends the suite as the go command would, given how its test binary ended. It returns an error if that was not by
// itself, or if the output could not be converted.
func (s *suite) end(result error) error {
	exit, failed := errors.AsType[*vm.ExitError](result)
	elapsed := time.Since(s.start).Seconds()
	switch {
	case result == nil:
		fmt.Fprintf(s, "ok  \t%s\t%.3fs\n", s.path, elapsed)
	case failed:
		// Test binaries mark the lines that mean something with this byte; once they have, no other line means anything.
		fmt.Fprintf(s, "exit status %d\n\x16FAIL\t%s\t%.3fs\n", exit.Code, s.path, elapsed)
		result = nil
	default:
		fmt.Fprintf(s, "\n%v\n\x16FAIL\t%s\t%.3fs\n", result, s.path, elapsed)
	}
	err := errors.Join(s.Close(), <-s.read, s.converter.Wait())
	if err != nil {
		err = fmt.Errorf("convert the output of %s: %w", s.path, err)
	}

	if s.failed == 0 && (failed || result != nil) {
		s.report.failed++
	}
	if s.tests == 0 && !failed && result == nil {
		s.report.empty = append(s.report.empty, s.path)
	}
	return errors.Join(result, err)
}

// events reads the converter's events to their end.
func (s *suite) events(stream io.Reader) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal(line, &event); err != nil {
			return err
		}
		s.count(event.Action, event.Test)
		if !s.report.json {
			line = []byte(event.Output)
		}
		if _, err := s.report.out.Write(line); err != nil {
			return err
		}
	}
}

// count counts tests and their subtests.
func (s *suite) count(action, test string) {
	if test == "" {
		return // the package's own result follows from its tests and its exit code
	}
	switch action {
	case "pass":
		s.report.passed++
	case "fail":
		s.report.failed++
		s.failed++
	case "skip":
		s.report.skipped = append(s.report.skipped, s.path+" "+test)
	default:
		return
	}
	s.tests++
}

func (r *report) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.passed, r.failed, len(r.skipped))
}

// verdict returns an error if not all is well, and says why where the tests have not.
func (r *report) verdict(stderr io.Writer) error {
	for _, path := range r.empty {
		fmt.Fprintf(stderr, "vm: no test of %s ran\n", path)
	}
	strict, _ := strconv.ParseBool(os.Getenv("CI")) // unset or unreadable means somebody's own machine
	for _, test := range r.skipped {
		fmt.Fprintf(stderr, "vm: skipped: %s\n", test)
	}
	if r.failed > 0 || strict && len(r.skipped) > 0 || strict && len(r.empty) > 0 {
		return errFailed()
	}
	return nil
}

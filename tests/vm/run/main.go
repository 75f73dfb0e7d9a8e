// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command run runs Go tests inside a virtual machine with a stock Debian kernel:
//
//	go run ./tests/vm/run [flags] [package ...] [-- test flags]
//
// Tests that need the machine are in files with the line "//go:build vm", beside the tests that do not: plain "go test"
// does not see them, and so cannot skip them. Of the packages (./... if none is given) those with such files are compiled
// with the tag "vm"; one machine is booted; their tests in those files are run there, package by package, as root, in their
// package's folder, which is read-only. -program puts further programs into PATH.
//
// Data go to stdout, as text like that of "go test -v" or as events like those of "go test -json"; progress and a summary
// go to stderr. The exit code is 0 if all passed, 1 if a test failed or the machine died, 2 if nothing could be run. With
// CI=true in the environment a skipped test is a failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() { os.Exit(exitCode()) }

func exitCode() int {
	// Who stops "go run" alone stops this too, and with it the machine.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "vm: follow the parent process:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errFailed()):
		return 1
	default:
		fmt.Fprintln(os.Stderr, "vm:", err)
		return 2
	}
}

// options is what the command line says.
type options struct {
	packages  []string
	tests     string // regular expression
	programs  []string
	testFlags []string
	json      bool
	log       string
	memory    int // MiB
	timeout   time.Duration
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./tests/vm/run [flags] [package ...] [-- test flags]")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.tests, "run", "", "run only tests that match the `regexp`, among all of the packages")
	flags.Func("program", "compile the main `package` into the machine's PATH; may be given several times", func(s string) error {
		o.programs = append(o.programs, s)
		return nil
	})
	flags.BoolVar(&o.json, "json", false, "print events instead of text")
	flags.StringVar(&o.log, "log", "", "write the machine's console to the `file`")
	flags.IntVar(&o.memory, "memory", 1024, "memory of the machine in `MiB`")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "end everything after this `time`")
	if i := slices.Index(args, "--"); i >= 0 {
		args, o.testFlags = args[:i], args[i+1:]
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.packages = flags.Args()
	if len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}
	return o, nil
}

// errFailed says that tests ran and did not all pass; why has been said already.
func errFailed() error { return failed{} }

type failed struct{}

func (failed) Error() string { return "tests failed" }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("not finished after %s", o.timeout))
	defer cancel()
	start := time.Now()

	packages, err := list(ctx, o.packages)
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return fmt.Errorf("no test of %s is in a file with //go:build vm", strings.Join(o.packages, " "))
	}
	machine, err := newMachine(ctx, o, packages, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, machine.close()) }()

	report := &report{out: stdout, json: o.json}
	err = machine.test(ctx, packages, report)
	fmt.Fprintf(stderr, "vm: %s; machine ready after %s, all done in %s\n", report, seconds(machine.booted), seconds(time.Since(start)))
	if err != nil {
		fmt.Fprintln(stderr, "vm:", err)
		return errFailed()
	}
	return report.verdict(stderr)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

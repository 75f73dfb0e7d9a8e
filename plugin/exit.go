// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes.
const (
	exitFine        = 0
	exitFound       = 1
	exitCouldNotRun = 2
	exitTimedOut    = 3
	exitInterrupted = 130
)

// errFound is returned by a command that ran, printed what it found, and wants exit code 1 without another word.
type errFound struct{}

func (errFound) Error() string { return "found something" }

// errUsage is an error in how the command was called.
type errUsage struct {
	command string
	err     error
}

func (e errUsage) Error() string {
	return fmt.Sprintf("%v; see `%s --help`", e.err, e.command)
}

func (e errUsage) Unwrap() error { return e.err }

// errTimedOut says which wait ran out of time.
type errTimedOut struct{ what string }

func (e errTimedOut) Error() string { return e.what }

// exitCode prints the error, if there is anything to say, and gives the exit code.
func exitCode(stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, new(errFound)):
		return exitFound
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	if errors.As(err, new(errTimedOut)) {
		return exitTimedOut
	}
	return exitCouldNotRun
}

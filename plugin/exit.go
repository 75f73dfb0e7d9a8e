// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/underlay-dev/kubectl-underlay/plugin/ui"
)

// Exit codes.
const (
	exitFine        = 0
	exitFound       = 1
	exitCouldNotRun = 2
	exitTimedOut    = 3
	exitInterrupted = 130
)

// foundError is returned by a command that ran, printed what it found, and wants exit code 1 without another word.
type foundError struct{}

func (foundError) Error() string { return "found something" }

// usageError is an error in how the command was called.
type usageError struct {
	command string
	err     error
}

func (e usageError) Error() string {
	return fmt.Sprintf("%v; see `%s --help`", e.err, e.command)
}

func (e usageError) Unwrap() error { return e.err }

// timedOutError says which wait ran out of time.
type timedOutError struct{ what string }

func (e timedOutError) Error() string { return e.what }

// lateError says what was not done when time ran out.
type lateError struct{ what string }

func (e lateError) Error() string { return e.what }

func (e lateError) Unwrap() error { return context.DeadlineExceeded }

// exitCode prints the error, if there is anything to say, and gives the exit code.
func exitCode(stderr *ui.Screen, err error) int {
	switch {
	case err == nil:
		return exitFine
	case errors.As(err, new(foundError)):
		return exitFound
	case errors.Is(err, context.Canceled):
		stderr.Say("interrupted")
		return exitInterrupted
	}
	stderr.Say("error: " + err.Error())
	if errors.As(err, new(timedOutError)) {
		return exitTimedOut
	}
	return exitCouldNotRun
}

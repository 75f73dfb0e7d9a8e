// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Shared is one control plane for all tests of a package, started by the first that asks for it. The zero value is a
// bare one. Its tests share cluster-scoped objects: they name their own.
type Shared struct {
	Options Options

	once  sync.Once
	plane *ControlPlane
	err   error
}

// Main runs the tests, then stops the control plane if any of them started it, and returns the code to exit with.
func (s *Shared) Main(m interface{ Run() int }) int {
	code := m.Run()
	if s.plane == nil {
		return code
	}
	if err := s.plane.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// ForTest returns the control plane; the test fails if it cannot be had.
func (s *Shared) ForTest(t testing.TB) *ControlPlane {
	t.Helper()
	s.once.Do(func() {
		opts := s.Options
		if opts.Progress == nil {
			opts.Progress = os.Stderr
		}
		// Not the test's context: the control plane outlives its first test.
		s.plane, s.err = Start(context.WithoutCancel(t.Context()), opts)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.plane
}

// ForTest starts a control plane of the test's own, which stops when the test ends. It costs some seconds: prefer a
// Shared one where tests do not disturb each other.
func ForTest(t testing.TB, opts Options) *ControlPlane {
	t.Helper()
	if opts.Progress == nil {
		opts.Progress = os.Stderr
	}
	plane, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	return plane
}

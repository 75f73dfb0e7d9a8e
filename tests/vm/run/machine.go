// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Folders of the guest.
const (
	guestSource = "/src"   // the repository
	guestStage  = "/stage" // compiled tests, and programs in bin
)

// machine is a virtual machine with compiled tests.
type machine struct {
	*vm.VM
	options options
	root    string // of the repository, on the host
	stage   string // on the host
	booted  time.Duration
}

// newMachine compiles the tests and boots the machine, both at the same time.
func newMachine(ctx context.Context, o options, packages []pkg, progress io.Writer) (*machine, error) {
	root, err := pinned.Root()
	if err != nil {
		return nil, err
	}
	kit, err := vm.Setup(ctx, progress)
	if err != nil {
		return nil, err
	}
	stage, err := os.MkdirTemp("", "vm-stage-")
	if err != nil {
		return nil, err
	}
	m := &machine{options: o, root: root, stage: stage}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	compiled := make(chan error, 1)
	go func() {
		err := m.compile(ctx, packages)
		if err != nil {
			cancel(err)
		}
		compiled <- err
	}()
	start := time.Now()
	m.VM, err = vm.Boot(ctx, kit, vm.Config{
		MemoryMiB: o.memory, KernelLog: o.log,
		Shares: []vm.Share{{Host: root, Guest: guestSource}, {Host: stage, Guest: guestStage}},
	})
	m.booted = time.Since(start)
	if failure := <-compiled; failure != nil {
		err = failure // rather than a boot that was cancelled for it
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// compile compiles the tests of all packages, and the programs that they need.
func (m *machine) compile(ctx context.Context, packages []pkg) error {
	for i, p := range packages {
		args := []string{"test", "-c", "-tags=" + tag, "-ldflags=-s -w", "-o", filepath.Join(m.stage, binary(i)), p.path}
		if err := vm.Compile(ctx, m.root, args...); err != nil {
			return err
		}
	}
	if len(m.options.programs) == 0 {
		return nil
	}
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(m.stage, "bin") + string(filepath.Separator)}
	return vm.Compile(ctx, "", append(args, m.options.programs...)...)
}

// binary is the file name of a package's compiled tests: base names of packages need not be unique.
func binary(i int) string { return fmt.Sprintf("%d.test", i) }

// test runs the tests of all packages. The error says why not all could be run; failures of tests are in the report.
func (m *machine) test(ctx context.Context, packages []pkg, report *report) error {
	for i, p := range packages {
		suite, err := report.begin(ctx, p.path)
		if err != nil {
			return err
		}
		if err := suite.end(m.testPackage(ctx, binary(i), p, suite)); err != nil {
			if rest := paths(packages[i+1:]); len(rest) > 0 {
				err = fmt.Errorf("%w\nnot run: the tests of %s", err, strings.Join(rest, ", "))
			}
			return err
		}
	}
	return nil
}

func (m *machine) testPackage(ctx context.Context, binary string, p pkg, output io.Writer) error {
	relative, err := filepath.Rel(m.root, p.dir)
	if err != nil {
		return err
	}
	args := []string{filepath.Join(guestStage, binary), "-test.v=test2json", "-test.paniconexit0", "-test.run=" + m.filter(p)}
	if deadline, ok := ctx.Deadline(); ok {
		// Go's own timeout comes first: it prints the stacks.
		args = append(args, "-test.timeout="+max(time.Second, time.Until(deadline)-5*time.Second).String())
	}
	return m.Run(ctx, vm.Command{
		Args:   append(args, m.options.testFlags...),
		Dir:    filepath.Join(guestSource, relative),
		Env:    []string{"PATH=" + guestStage + "/bin:/usr/local/bin:/usr/bin:/bin:/sbin"},
		Output: output,
	})
}

// filter returns the regular expression that chooses the tests to run.
func (m *machine) filter(p pkg) string {
	if m.options.tests != "" {
		return m.options.tests
	}
	return "^(" + strings.Join(p.tests, "|") + ")$"
}

func (m *machine) close() error {
	var err error
	if m.VM != nil {
		err = m.VM.Close()
	}
	return errors.Join(err, os.RemoveAll(m.stage))
}

func paths(packages []pkg) []string {
	var all []string
	for _, p := range packages {
		all = append(all, p.path)
	}
	return all
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync"
	"testing"
)

// ForTest returns the kit for a test that boots machines itself; the test fails if it cannot be had.
func ForTest(t testing.TB) Kit {
	t.Helper()
	kit, err := Setup(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return kit
}

// BootForTest boots a machine that ends with the test. If the test fails, the end of the machine's console is logged.
func BootForTest(t testing.TB, kit Kit, config Config) *VM {
	t.Helper()
	return BootAllForTest(t, kit, config)[0]
}

// BootAllForTest boots machines at the same time, as BootForTest does.
func BootAllForTest(t testing.TB, kit Kit, configs ...Config) []*VM {
	t.Helper()
	machines, errs := make([]*VM, len(configs)), make([]error, len(configs))
	var booting sync.WaitGroup
	for i, config := range configs {
		booting.Go(func() { machines[i], errs[i] = Boot(t.Context(), kit, config) })
	}
	booting.Wait()
	for _, machine := range machines {
		if machine == nil {
			continue
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the machine%s", machine.tail())
			}
			if err := machine.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return machines
}

// Shell runs a script of busybox's shell in the machine and returns all that it printed. The test fails if the script does.
func (vm *VM) Shell(t testing.TB, script string) string {
	t.Helper()
	out, err := vm.TryShell(t, script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// TryShell is Shell for scripts that may fail.
func (vm *VM) TryShell(t testing.TB, script string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := vm.Run(t.Context(), Command{Args: []string{"sh", "-c", script}, Output: &out})
	return out.String(), err
}

// NeedRoot skips a test that makes namespaces or taps on the host itself when it does not run as root. With CI=true in the
// environment it fails.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	const message = "makes network namespaces and taps on this machine, which needs root"
	if strict, _ := strconv.ParseBool(os.Getenv("CI")); strict { // unset or unreadable means somebody's own machine
		t.Fatal(message)
	}
	t.Skip(message)
}

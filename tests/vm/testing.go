// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"os"
	"strconv"
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
	machine, err := Boot(t.Context(), kit, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the machine%s", machine.tail())
		}
		if err := machine.Close(); err != nil {
			t.Error(err)
		}
	})
	return machine
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

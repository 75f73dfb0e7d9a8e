// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package vm

import (
	"os"
	"os/exec"
	"testing"
)

// TestKernelHasWhatPodsNeed makes links and queues of the kinds that the datapath uses: the kernel loads the modules for
// them by itself.
func TestKernelHasWhatPodsNeed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("tests in the machine do not run as root")
	}
	run(t, "ip", "link", "add", "parent0", "type", "dummy")
	t.Cleanup(func() { run(t, "ip", "link", "delete", "parent0") })
	for _, kind := range []string{"bridge", "dummy", "ifb", "veth"} {
		t.Run(kind, func(t *testing.T) {
			run(t, "ip", "link", "add", "child0", "type", kind)
			run(t, "ip", "link", "delete", "child0")
		})
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package vm

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestKernelHasWhatPodsNeed loads modules of the datapath which the machine does not load at its start.
func TestKernelHasWhatPodsNeed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("tests in the machine do not run as root")
	}
	for _, module := range []string{"act_ct", "act_mirred", "act_skbedit", "cls_flower", "ifb", "sch_ingress", "sch_tbf"} {
		t.Run(module, func(t *testing.T) {
			if out, err := exec.CommandContext(t.Context(), "modprobe", module).CombinedOutput(); err != nil {
				t.Fatalf("modprobe: %v\n%s", err, out)
			}
			loaded, err := os.ReadFile("/proc/modules")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains("\n"+string(loaded), "\n"+module+" ") {
				t.Errorf("not loaded:\n%s", loaded)
			}
		})
	}
}

// TestKernelFindsModules: what is not loaded comes when a program asks for it.
func TestKernelFindsModules(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "add", "dummy7", "type", "dummy").CombinedOutput(); err != nil {
		t.Errorf("add a link: %v\n%s", err, out)
	}
}

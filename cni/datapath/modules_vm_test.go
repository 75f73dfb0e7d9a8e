// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package datapath_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// TestMissingModules first loads all of them, and names those that the machine is then kept from loading. It needs a machine in which no pod holds any,
// so it runs ahead of package cni's tests.
func TestMissingModules(t *testing.T) {
	look := func(want ...string) {
		t.Helper()
		got, err := datapath.MissingModules()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
	}
	look()
	const helper = "/proc/sys/kernel/modprobe"
	before, err := os.ReadFile(helper)
	if err == nil {
		err = os.WriteFile(helper, []byte("/nowhere\n"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(helper, before, 0); err != nil {
			t.Error(err)
		}
	})
	for _, module := range []string{"sch_tbf", "act_mirred", "cls_bpf", "ifb"} {
		unload(t, module)
	}
	look("cls_bpf", "ifb", "sch_tbf")
	unload(t, "sch_ingress")
	look("ifb", "sch_ingress", "sch_tbf")
}

// unload waits until the kernel has taken down the namespace in which the module was used.
func unload(t *testing.T, module string) {
	t.Helper()
	err := error(unix.EAGAIN)
	for deadline := time.Now().Add(time.Minute); errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		err = unix.DeleteModule(module, unix.O_NONBLOCK)
	}
	if err != nil {
		t.Fatalf("unload %s: %v", module, err)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// bootAndHang is set in the environment of a process that shall boot a machine and then wait for its own end.
const bootAndHang = "VM_TEST_BOOT_AND_HANG"

func TestMain(m *testing.M) {
	if os.Getenv(bootAndHang) != "" {
		if err := hang(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestMachine(t *testing.T) {
	shared := t.TempDir()
	if err := os.WriteFile(filepath.Join(shared, "greeting"), []byte("hello from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	machine := vm.BootForTest(t, vm.ForTest(t), vm.Config{MemoryMiB: 512, Shares: []vm.Share{{Host: shared, Guest: "/shared"}}})

	for name, test := range map[string]struct {
		command vm.Command
		output  string
		code    int
		err     string
	}{
		"output of both kinds":    {command: sh("echo out; echo err >&2"), output: "out\nerr\n"},
		"exit code":               {command: sh("exit 3"), code: 3},
		"signal":                  {command: sh("kill -9 $$"), code: 137},
		"environment and folder":  {command: vm.Command{Args: []string{"sh", "-c", "echo $A; pwd"}, Env: []string{"A=b"}, Dir: "/proc"}, output: "b\n/proc\n"},
		"share":                   {command: vm.Command{Args: []string{"cat", "/shared/greeting"}}, output: "hello from the host\n"},
		"share cannot be changed": {command: sh("echo x > /shared/greeting"), code: 1, output: "sh: can't create /shared/greeting: Read-only file system\n"},
		"much output":             {command: sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done"), output: strings.Repeat("0123456789\n", 20000)},
		"no such program":         {command: vm.Command{Args: []string{"nonsense"}}, err: "executable file not found"},
		"orphans do not matter":   {command: sh("sleep 1000 & echo started"), output: "started\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var output bytes.Buffer
			test.command.Output = &output
			err := machine.Run(t.Context(), test.command)
			code := 0
			if exit, ok := errors.AsType[*vm.ExitError](err); ok {
				code = exit.Code
			} else if test.err != "" && err != nil && strings.Contains(err.Error(), test.err) {
				err = nil
			} else if err != nil || test.err != "" {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if output.String() != test.output {
				t.Errorf("output %.200q, want %.200q", output.String(), test.output)
			}
		})
	}

	t.Run("end of the context", func(t *testing.T) { testKill(t, machine) })
	t.Run("panic", func(t *testing.T) { testPanic(t, machine) }) // the last: nothing runs after it
}

func sh(script string) vm.Command { return vm.Command{Args: []string{"sh", "-c", script}} }

// testKill makes sure that a program whose context ends is killed with all that it started.
func testKill(t *testing.T, machine *vm.VM) {
	ctx, cancel := context.WithCancel(t.Context())
	command := sh("sleep 4321 & echo started; sleep 4321")
	command.Output = writerFunc(func([]byte) { cancel() })
	if err := machine.Run(ctx, command); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	// Reaped a moment later at most.
	if err := machine.Run(t.Context(), sh("i=0; while ps | grep -q '[s]leep 4321'; do [ $i -lt 100 ] || exit 1; i=$((i+1)); sleep 0.1; done")); err != nil {
		t.Errorf("what it started still runs: %v", err)
	}
}

// testPanic makes sure that the death of the kernel is noticed at once, and why it died.
func testPanic(t *testing.T, machine *vm.VM) {
	start := time.Now()
	err := machine.Run(t.Context(), sh("echo c > /proc/sysrq-trigger; sleep 1000"))
	if err == nil || !strings.Contains(err.Error(), "Kernel panic - not syncing: sysrq triggered crash") {
		t.Errorf("error %v, want the kernel's panic in it", err)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("noticed after %s", took)
	}
	if err := machine.Run(t.Context(), sh("true")); err == nil {
		t.Error("a dead machine runs programs")
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// TestMachineEndsWithItsProcess kills a process that boots a machine: QEMU must not survive it.
func TestMachineEndsWithItsProcess(t *testing.T) {
	vm.ForTest(t) // what the other process needs is there
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), bootAndHang+"=1", "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	qemu := ""
	poll(t, "QEMU is not started", func() bool {
		qemu = emulatorOf(t, cmd.Process.Pid)
		return qemu != ""
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
	poll(t, "QEMU still runs", func() bool { return !runs(qemu) })
}

// hang boots a machine and waits.
func hang() error {
	kit, err := vm.Setup(context.Background(), os.Stderr)
	if err != nil {
		return err
	}
	if _, err := vm.Boot(context.Background(), kit, vm.Config{MemoryMiB: 256}); err != nil {
		return err
	}
	select {}
}

// poll waits until it is done, for a minute.
func poll(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// emulatorOf returns the id of the process's child that is QEMU, or nothing.
func emulatorOf(t *testing.T, pid int) string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // one list for each thread
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			name, err := os.ReadFile(filepath.Join("/proc", child, "comm"))
			if err == nil && strings.HasPrefix(string(name), "qemu-system") {
				return child
			}
		}
	}
	return ""
}

// runs says whether the process has not ended: one that nobody has waited for yet is a zombie.
func runs(pid string) bool {
	status, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	return err == nil && !bytes.Contains(status, []byte(") Z "))
}

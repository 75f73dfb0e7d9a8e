// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command guest is the init process of a test machine. As process 1 it prepares the machine (modules, file systems,
// loopback), starts itself once more as the agent that serves the host's requests, and reaps orphans: were both one
// process, the reaper would steal the exit codes of the agent's children. It ends by switching the machine off.
//
// It imports the standard library, x/sys and wire alone: it is loaded into memory at every boot.
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	if os.Getpid() != 1 {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "agent:", err)
			os.Exit(1)
		}
		return
	}
	if err := superviseAgent(); err != nil {
		// The console is all that is left: the host shows the tail of the kernel's log.
		fmt.Fprintln(os.Stderr, "init:", err)
		time.Sleep(100 * time.Millisecond) // lets the serial port drain
	}
	syscall.Sync()
	// "Restart" ends QEMU at once, which runs with -no-reboot; switching off needs ACPI and takes longer.
	if err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART); err != nil {
		fmt.Fprintln(os.Stderr, "init: restart:", err)
	}
	select {}
}

// superviseAgent prepares the machine, runs the agent until it ends and reaps every process that becomes an orphan.
func superviseAgent() error {
	if err := prepare(); err != nil {
		return err
	}
	agent, err := os.StartProcess("/init", []string{"agent"}, &os.ProcAttr{
		Env:   environment(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return fmt.Errorf("wait for the agent: %w", err)
		case pid == agent.Pid && status.ExitStatus() != 0:
			return fmt.Errorf("the agent ended with status %#x", int(status))
		case pid == agent.Pid:
			return nil
		}
	}
}

// environment is what processes of the guest start with.
func environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin:/sbin", "HOME=/root", "USER=root", "TMPDIR=/tmp", "TERM=dumb"}
}

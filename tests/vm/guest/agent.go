// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/vm/wire"
)

// waitDelay is how long the output of a process may stay open after its end, held by processes it left behind.
const waitDelay = 2 * time.Second

// agent runs what the host asks for. Its processes run side by side.
type agent struct {
	mu     sync.Mutex // guards what follows
	events *json.Encoder
	kill   map[int]context.CancelFunc // by the ID of the request that runs
}

// serve answers requests until the host closes the port.
func serve() error {
	path, err := findPort("/sys/class/virtio-ports")
	if err != nil {
		return err
	}
	port, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the port to the host: %w", err)
	}
	defer port.Close()

	a := &agent{events: json.NewEncoder(port), kill: map[int]context.CancelFunc{}}
	if err := a.send(wire.Event{Ready: true}); err != nil {
		return err
	}
	requests := json.NewDecoder(port)
	for {
		var request wire.Request
		if err := requests.Decode(&request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		switch {
		case request.Run != nil:
			ctx := a.begin(request.ID) // before the next request, which may be to kill it
			go a.run(ctx, request.ID, *request.Run)
		case request.Kill != nil:
			a.cancel(*request.Kill)
		}
	}
}

// findPort returns the device of the port to the host, given the folder in which the kernel lists ports.
func findPort(class string) (string, error) {
	names, err := filepath.Glob(filepath.Join(class, "*", "name"))
	if err != nil {
		return "", err
	}
	for _, file := range names {
		name, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("find the port to the host: %w", err)
		}
		if strings.TrimSpace(string(name)) == wire.Port {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(file))), nil
		}
	}
	return "", fmt.Errorf("find the port to the host: no virtio port is named %s", wire.Port)
}

// begin makes a request one that can be cancelled.
func (a *agent) begin(id int) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kill[id] = cancel
	return ctx
}

// cancel ends a request that still runs.
func (a *agent) cancel(id int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cancel, ok := a.kill[id]; ok {
		cancel()
		delete(a.kill, id)
	}
}

// run runs one process to its end, and reports that.
func (a *agent) run(ctx context.Context, id int, r wire.Run) {
	defer a.cancel(id)
	event := wire.Event{ID: id}
	if code, err := a.execute(ctx, id, r); err != nil {
		event.Error = err.Error()
	} else {
		event.Exit = &code
	}
	if err := a.send(event); err != nil { // a host that no longer listens needs no report
		fmt.Fprintln(os.Stderr, "agent:", err)
	}
}

// execute runs a process and returns its exit code. When the context ends, its process group is killed.
func (a *agent) execute(ctx context.Context, id int, r wire.Run) (int, error) {
	cmd := exec.CommandContext(ctx, r.Args[0], r.Args[1:]...)
	cmd.Dir = r.Dir
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = waitDelay
	out := output{agent: a, id: id}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return 0, err // could not be started
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

func (a *agent) send(event wire.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.events.Encode(event); err != nil {
		return fmt.Errorf("write to the host: %w", err)
	}
	return nil
}

// output sends what a process writes to the host.
type output struct {
	agent *agent
	id    int
}

func (o output) Write(p []byte) (int, error) {
	if err := o.agent.send(wire.Event{ID: o.id, Output: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

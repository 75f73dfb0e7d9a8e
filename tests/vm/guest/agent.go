// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
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
	mu      sync.Mutex // guards what follows
	events  *json.Encoder
	running map[int]*os.Process // by the ID of the request
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

	a := &agent{events: json.NewEncoder(port), running: map[int]*os.Process{}}
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
			go a.run(request.ID, *request.Run)
		case request.Kill != nil:
			a.kill(*request.Kill)
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

// run runs one process to its end. Grandchildren that keep its output open do not delay the end by more than a moment.
func (a *agent) run(id int, r wire.Run) {
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	cmd.Dir = r.Dir
	cmd.Env = append(os.Environ(), r.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := output{agent: a, id: id}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = waitDelay

	a.mu.Lock()
	err := cmd.Start()
	if err == nil {
		a.running[id] = cmd.Process
	}
	a.mu.Unlock()
	if err != nil {
		a.report(wire.Event{ID: id, Error: err.Error()})
		return
	}

	err = cmd.Wait()
	a.mu.Lock()
	delete(a.running, id)
	a.mu.Unlock()
	if cmd.ProcessState == nil {
		a.report(wire.Event{ID: id, Error: err.Error()})
		return
	}
	code := exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus))
	a.report(wire.Event{ID: id, Exit: &code})
}

// exitCode is the exit code as shells have it.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// kill ends the process group of a request, if it still runs.
func (a *agent) kill(id int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if process, ok := a.running[id]; ok {
		if err := syscall.Kill(-process.Pid, syscall.SIGKILL); err != nil {
			fmt.Fprintf(os.Stderr, "agent: kill %d: %v\n", process.Pid, err)
		}
	}
}

func (a *agent) send(event wire.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.events.Encode(event); err != nil {
		return fmt.Errorf("write to the host: %w", err)
	}
	return nil
}

// report sends the last event of a request. A host that no longer listens needs none.
func (a *agent) report(event wire.Event) {
	if err := a.send(event); err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
	}
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

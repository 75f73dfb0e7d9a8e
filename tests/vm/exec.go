// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/underlay-dev/kubectl-underlay/tests/vm/wire"
)

// Command is a program to run in a machine.
type Command struct {
	Args   []string  // the program, looked up in the guest's PATH, and its arguments
	Dir    string    // working folder in the guest
	Env    []string  // key=value, added to the guest's environment
	Output io.Writer // gets stdout and stderr as they come; nil to drop them
}

// ExitError says that a program in a machine ended with another code than 0.
type ExitError struct {
	Program string
	Code    int // 128 + signal for a killed one
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s in the machine: exit code %d", e.Program, e.Code)
}

// Run runs a program in the machine to its end. The error is an *ExitError if it ended with a code other than 0; if the
// machine died, it carries the tail of its console. When the context ends, the program and its process group are killed.
func (vm *VM) Run(ctx context.Context, command Command) error {
	if err := vm.run(ctx, command); err != nil {
		if _, ok := errors.AsType[*ExitError](err); ok {
			return err
		}
		return fmt.Errorf("run %s in the machine: %w", command.Args[0], err)
	}
	return nil
}

// process is a program that runs in the machine.
type process struct {
	events chan wire.Event
	done   chan struct{} // closed when nobody listens to its events any more
}

func (vm *VM) run(ctx context.Context, command Command) error {
	if command.Output == nil {
		command.Output = io.Discard
	}
	id, p := vm.register()
	defer vm.forget(id, p)
	if err := vm.request(wire.Request{ID: id, Run: &wire.Run{Args: command.Args, Dir: command.Dir, Env: command.Env}}); err != nil {
		return err
	}
	for {
		select {
		case event := <-p.events:
			if _, err := command.Output.Write(event.Output); err != nil {
				return errors.Join(err, vm.kill(id))
			}
			switch {
			case event.Error != "":
				return errors.New(event.Error)
			case event.Exit != nil && *event.Exit != 0:
				return &ExitError{Program: command.Args[0], Code: *event.Exit}
			case event.Exit != nil:
				return nil
			}
		case <-vm.ended:
			<-vm.exited
			return vm.died()
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%w%s", context.Cause(ctx), vm.tail()), vm.kill(id))
		}
	}
}

func (vm *VM) register() (int, process) {
	p := process{events: make(chan wire.Event), done: make(chan struct{})}
	vm.mu.Lock()
	defer vm.mu.Unlock()
	vm.lastID++
	vm.processes[vm.lastID] = p
	return vm.lastID, p
}

func (vm *VM) forget(id int, p process) {
	close(p.done)
	vm.mu.Lock()
	defer vm.mu.Unlock()
	delete(vm.processes, id)
}

// deliver hands an event to whoever listens to its process.
func (vm *VM) deliver(event wire.Event) {
	vm.mu.Lock()
	p, ok := vm.processes[event.ID]
	vm.mu.Unlock()
	if !ok {
		return
	}
	select {
	case p.events <- event:
	case <-p.done:
	}
}

func (vm *VM) kill(id int) error { return vm.request(wire.Request{ID: id, Kill: &id}) }

func (vm *VM) request(request wire.Request) error {
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := vm.conn.Write(append(line, '\n')); err != nil {
		<-vm.exited // the other end is gone
		return errors.Join(err, vm.died())
	}
	return nil
}

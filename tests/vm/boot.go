// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/scratch"
	"github.com/underlay-dev/kubectl-underlay/tests/vm/wire"
)

// bootTimeout is how long a machine may take to its first event: three times what it takes on two very busy cores.
const bootTimeout = 3 * time.Minute

// VM is a running machine.
type VM struct {
	folder *scratch.Folder // temporary files
	log    string          // path of the guest's console
	conn   *net.UnixConn

	stop    context.CancelFunc // kills QEMU
	exited  chan struct{}      // closed when QEMU has ended
	exitErr error              // why, to be read after exited

	ready     chan struct{} // closed when the agent waits for requests
	ended     chan struct{} // closed when the agent says no more
	mu        sync.Mutex    // guards what follows
	lastID    int
	processes map[int]process // by the ID of the request
}

// Boot starts a machine and returns when it is ready to run programs. The machine ends with Close, or with the process.
func Boot(ctx context.Context, kit Kit, config Config) (*VM, error) {
	if config.MemoryMiB == 0 {
		config.MemoryMiB = 1024
	}
	if config.CPUs == 0 {
		config.CPUs = 2
	}
	folder, err := scratch.New("kubectl-underlay-vm-")
	if err != nil {
		return nil, fmt.Errorf("boot a machine: %w", err)
	}
	vm := &VM{
		folder: folder, log: config.KernelLog,
		exited: make(chan struct{}), ready: make(chan struct{}), ended: make(chan struct{}), processes: map[int]process{},
	}
	if vm.log == "" {
		vm.log = folder.Path("kernel.log")
	}
	if err := vm.start(ctx, kit, config); err != nil {
		return nil, errors.Join(fmt.Errorf("boot a machine: %w", err), folder.Remove())
	}
	timeout := time.NewTimer(bootTimeout)
	defer timeout.Stop()
	select {
	case <-vm.ready:
		return vm, nil
	case <-vm.exited:
		err = vm.died()
	case <-timeout.C:
		err = fmt.Errorf("not ready after %s%s", bootTimeout, vm.tail())
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, errors.Join(fmt.Errorf("boot a machine: %w", err), vm.Close())
}

// start starts QEMU and what listens to the agent.
func (vm *VM) start(ctx context.Context, kit Kit, config Config) error {
	content, err := kit.initramfs(ctx)
	if err != nil {
		return fmt.Errorf("make the initramfs: %w", err)
	}
	initramfs := vm.folder.Path("initramfs.gz")
	if err := os.WriteFile(initramfs, content, 0o644); err != nil {
		return err
	}
	conn, theirs, err := connection()
	if err != nil {
		return err
	}
	defer theirs.Close()
	vm.conn = conn

	// Not the caller's context: Close asks the guest to end first.
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	vm.stop = stop
	cmd := exec.CommandContext(life, kit.QEMU, config.arguments(kit, initramfs, vm.log)...)
	cmd.ExtraFiles = []*os.File{theirs}
	for _, nic := range config.NICs {
		cmd.ExtraFiles = append(cmd.ExtraFiles, nic.Tap)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // an interrupt at the terminal is for us alone, who then stop QEMU
	}
	if err := vm.supervise(cmd); err != nil {
		stop()
		return errors.Join(err, conn.Close())
	}
	go vm.listen()
	return nil
}

// supervise starts QEMU and waits for its end in the background.
func (vm *VM) supervise(cmd *exec.Cmd) error {
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	started := make(chan error)
	go func() {
		// The parent whose death kills QEMU is the thread that started it, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		err = cmd.Wait()
		if text := bytes.TrimSpace(complaints.Bytes()); len(text) > 0 {
			err = errors.Join(err, fmt.Errorf("QEMU says: %s", text))
		}
		vm.exitErr = err
		close(vm.exited)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	return nil
}

// connection returns two ends of a connection: ours, and the one that QEMU inherits.
func connection() (*net.UnixConn, *os.File, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the machine: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "agent"), os.NewFile(uintptr(pair[1]), "agent")
	defer ours.Close() // FileConn has a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connect to the machine: %w", err), theirs.Close())
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, nil, errors.Join(fmt.Errorf("connect to the machine: %T is no Unix socket", conn), theirs.Close())
	}
	return socket, theirs, nil
}

// listen hands the agent's events to those who wait for them.
func (vm *VM) listen() {
	defer close(vm.ended)
	for events := json.NewDecoder(vm.conn); ; {
		var event wire.Event
		if err := events.Decode(&event); err != nil {
			return // QEMU has ended, or Close has closed the connection
		}
		if event.Ready {
			close(vm.ready)
			continue
		}
		vm.deliver(event)
	}
}

// KernelLog is the path of the guest's console.
func (vm *VM) KernelLog() string { return vm.log }

// Close ends the machine and removes its temporary files. What runs in it is killed.
func (vm *VM) Close() error {
	vm.stop()
	<-vm.exited
	err := vm.conn.Close()
	<-vm.ended
	return errors.Join(err, vm.folder.Remove())
}

// died says why a machine that should run does not.
func (vm *VM) died() error {
	err := vm.exitErr
	if err == nil {
		err = errors.New("the guest restarted or switched off")
	}
	return fmt.Errorf("the machine has ended: %w%s", err, vm.tail())
}

// tail returns the end of the guest's console, for an error message.
func (vm *VM) tail() string {
	const most = 4000 // bytes: a kernel's panic with its stack
	content, err := os.ReadFile(vm.log)
	if err != nil {
		return fmt.Sprintf("; no console: %v", err)
	}
	if len(content) > most {
		content = content[len(content)-most:]
	}
	return fmt.Sprintf("; its console ends with:\n%s", bytes.TrimSpace(content))
}

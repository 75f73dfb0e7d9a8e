// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// process is a program that runs in a network namespace of this machine, and no longer than this process.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string
	exited chan struct{} // closed when it has ended
	err    error         // why, to be read after exited
}

// run starts a program. What it prints is added to the log.
func run(in *netns.Namespace, log, program string, args ...string) (*process, error) {
	name := filepath.Base(program)
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer output.Close() // the program has a copy
	p := &process{name: name, log: log, exited: make(chan struct{})}
	p.cmd = exec.Command(program, args...) //nolint:noctx // stop ends it in the right order, and the kernel ends it with us
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // an interrupt at the terminal is for us alone
	}
	started := make(chan error, 1)
	go func() {
		// The parent whose death kills the program is the thread that started it: it stays here.
		p.err = in.Do(func() error {
			err := p.cmd.Start()
			started <- err
			if err != nil {
				return err
			}
			return p.cmd.Wait()
		})
		close(p.exited)
	}()
	select {
	case err := <-started:
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
		return p, nil
	case <-p.exited: // could not enter the namespace
		return nil, fmt.Errorf("start %s: %w", name, p.err)
	}
}

// stop asks the program to end, and kills it when it has not within the grace period.
func (p *process) stop(grace time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(grace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.exited
	return nil
}

// died says why a program that should run does not.
func (p *process) died() error {
	err := p.err
	if err == nil {
		err = errors.New("exit code 0")
	}
	return fmt.Errorf("%s has ended: %w%s", p.name, err, tail(p.log))
}

// tail returns how a log ends, for an error message.
func tail(log string) string {
	const lines = 15
	content, err := os.ReadFile(log)
	if err != nil {
		return fmt.Sprintf("; no log: %v", err)
	}
	all := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return fmt.Sprintf("; %s ends with:\n%s", filepath.Base(log), bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

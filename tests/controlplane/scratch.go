// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	scratchPrefix = "kubectl-underlay-controlplane-"

	// scratchGrace is how long a folder is left alone after it was made: its lock is not yet held for a moment.
	scratchGrace = time.Minute

	// tailLines is how much of each log an error shows.
	tailLines = 10
)

// scratch is the temporary folder of one control plane: its data, certificates and log. Its owner holds a lock on it as
// long as it lives, by which others tell it from a folder that somebody left behind.
type scratch struct {
	dir       string
	held      *os.File // the lock
	etcd      *os.File // what etcd prints
	apiserver *os.File // what kube-apiserver prints
}

// newScratch removes folders that killed processes have left and makes a new one.
func newScratch() (*scratch, error) {
	removeAbandoned()
	dir, err := os.MkdirTemp("", scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder for the control plane: %w", err)
	}
	s := &scratch{dir: dir}
	if err := s.fill(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the control plane's folder: %w", err), s.remove())
	}
	return s, nil
}

// fill locks the folder and makes what the processes expect in it.
func (s *scratch) fill() error {
	var err error
	if s.held, err = os.Create(s.path("lock")); err != nil {
		return err
	}
	if err := syscall.Flock(int(s.held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: %w", s.held.Name(), err)
	}
	if s.etcd, err = os.Create(s.path("etcd.log")); err != nil {
		return err
	}
	if s.apiserver, err = os.Create(s.path("apiserver.log")); err != nil {
		return err
	}
	for _, name := range []string{"etcd", "apiserver", "launchers"} {
		if err := os.Mkdir(s.path(name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (s *scratch) path(name string) string { return filepath.Join(s.dir, name) }

// remove deletes the folder and gives up its lock.
func (s *scratch) remove() error {
	err := os.RemoveAll(s.dir)
	for _, file := range []*os.File{s.etcd, s.apiserver, s.held} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("remove the control plane's folder: %w", err)
	}
	return nil
}

// lastWords returns how the logs end, kube-apiserver's last since it is the one that mostly says why.
func (s *scratch) lastWords() string {
	var words strings.Builder
	for _, log := range []*os.File{s.etcd, s.apiserver} {
		content, err := os.ReadFile(log.Name())
		if err != nil {
			content = []byte(err.Error())
		}
		lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
		lines = lines[max(0, len(lines)-tailLines):]
		fmt.Fprintf(&words, "\n--- end of %s\n%s", filepath.Base(log.Name()), bytes.Join(lines, []byte("\n")))
	}
	return words.String()
}

// launcher returns the path of a program that becomes the given one, to be killed by the kernel when the thread that
// started it ends. envtest cannot be told to ask for that itself. Elsewhere than on Linux, where the kernel offers
// nothing alike, it is the program itself.
func (s *scratch) launcher(program string) (string, error) {
	if runtime.GOOS != "linux" {
		return program, nil
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		return "", fmt.Errorf("find setpriv, which ties the control plane to this process (package util-linux): %w", err)
	}
	path := filepath.Join(s.path("launchers"), filepath.Base(program))
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --pdeathsig KILL -- '%s' \"$@\"\n", setpriv, program)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("write the launcher of %s: %w", program, err)
	}
	return path, nil
}

// removeAbandoned deletes the folders of control planes whose process is gone. What cannot be deleted, perhaps another
// user's, stays.
func removeAbandoned() {
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*", "lock"))
	if err != nil {
		return // a malformed pattern, from an unusual temporary folder
	}
	for _, path := range locks {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < scratchGrace {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		_ = file.Close()
	}
}

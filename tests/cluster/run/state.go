// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// state is the folder of the kept cluster.
type state struct{ folder string }

func (s state) path(name string) string { return filepath.Join(s.folder, name) }

// lock takes the lock, which says who keeps the cluster. It returns nil if somebody else has it.
func (s state) lock() (*os.File, error) {
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return nil, fmt.Errorf("make the cluster's folder: %w", err)
	}
	file, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cluster's lock: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil //nolint:nilnil // nil says that somebody else has it
	}
	return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
}

// keeper returns the process that keeps the cluster; nil if nobody does.
func (s state) keeper() (*os.Process, error) {
	free, err := s.lock()
	if err != nil {
		return nil, err
	}
	if free != nil {
		return nil, free.Close()
	}
	content, err := os.ReadFile(s.path("pid"))
	if err != nil {
		return nil, fmt.Errorf("find who keeps the cluster: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, fmt.Errorf("find who keeps the cluster: %w", err)
	}
	return os.FindProcess(pid)
}

// clear removes what is true only while a cluster is up.
func (s state) clear() {
	for _, name := range []string{"usage", "kubeconfig", "pid"} {
		os.Remove(s.path(name))
	}
}

// usage is what up printed; empty if no cluster is up.
func (s state) usage() (string, error) {
	content, err := os.ReadFile(s.path("usage"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(content), err
}

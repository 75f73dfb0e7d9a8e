// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is an open network namespace other than the node's.
type Namespace struct {
	Path  string
	Inode uint64
	fd    int
}

// OpenNamespace opens the network namespace at path. The error is a *NamespaceError.
func OpenNamespace(path string) (*Namespace, error) {
	if !filepath.IsAbs(path) {
		return nil, &NamespaceError{Path: path, Reason: "must be an absolute path"}
	}
	// Not blocking: the path could be a FIFO. The bit has no meaning for a namespace.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
		return nil, &NamespaceError{Path: path, Reason: fmt.Sprintf("cannot be opened: %v", err), Gone: gone, Err: err}
	}
	n := &Namespace{Path: path, fd: fd} // not a file of package os, which would be made known to the scheduler's poller
	if err := n.identify(); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// identify checks that the file is another network namespace than the calling thread's.
func (n *Namespace) identify() error {
	var system unix.Statfs_t
	if err := unix.Fstatfs(n.fd, &system); err != nil {
		return &NamespaceError{Path: n.Path, Reason: fmt.Sprintf("cannot be inspected: %v", err), Err: err}
	}
	var stat unix.Stat_t
	if err := unix.Fstat(n.fd, &stat); err != nil {
		return &NamespaceError{Path: n.Path, Reason: fmt.Sprintf("cannot be inspected: %v", err), Err: err}
	}
	if system.Type != unix.NSFS_MAGIC {
		gone := stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Size == 0
		return &NamespaceError{Path: n.Path, Reason: "is a file, not a namespace: the sandbox is gone, or the path is wrong", Gone: gone}
	}
	kind, err := unix.IoctlRetInt(n.fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return &NamespaceError{Path: n.Path, Reason: "is a namespace, but not of the network", Err: err}
	}
	n.Inode = stat.Ino
	own, err := ownNamespace()
	if err != nil {
		return err
	}
	if own == n.Inode {
		return &NamespaceError{Path: n.Path, Reason: "is the node's own: pods with hostNetwork have no interfaces of their own", Gone: true}
	}
	return nil
}

// ownNamespace is the inode of the calling thread's network namespace.
func ownNamespace() (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Stat(threadNamespace, &stat); err != nil {
		return 0, fmt.Errorf("inspect the node's network namespace: %w", err)
	}
	return stat.Ino, nil
}

// Close lets go of the namespace.
func (n *Namespace) Close() { _ = unix.Close(n.fd) }

// do runs fn on a thread in the namespace.
func (n *Namespace) do(fn func() error) error {
	return elsewhere(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", n.Path, err)
		}
		return nil
	}, fn)
}

// threadNamespace is the calling thread's network namespace.
const threadNamespace = "/proc/thread-self/ns/net"

// elsewhere runs fn on the caller's thread, which enter brings into another network namespace, and brings the thread back. It panics if that fails: whoever
// went on would take another namespace for the node's.
func elsewhere(enter, fn func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := unix.Open(threadNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the node's network namespace: %w", err)
	}
	defer func() { _ = unix.Close(home) }()
	if err := enter(); err != nil {
		return err
	}
	defer func() {
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("go back to the node's network namespace: %v", err))
		}
	}()
	return fn()
}

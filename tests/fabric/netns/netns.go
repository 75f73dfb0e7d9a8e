// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package netns makes network namespaces for tests and works in them. It imports netlink and x/sys, and needs root.
package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// folder is where "ip netns" and container runtimes keep namespaces that have a name.
const folder = "/run/netns"

// Namespace is a network namespace. It lives until Close, and longer if processes or sockets are in it.
type Namespace struct {
	file  *os.File
	mount string // empty for a namespace without a name
}

// New makes a namespace that nothing but this process knows: nothing is left of it if the process dies.
func New() (*Namespace, error) {
	var file *os.File
	err := onThread(func() error {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			return err
		}
		file, err = os.Open(current())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	n := &Namespace{file: file}
	if err := n.Do(loopbackUp); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// NewNamed makes a namespace with a path, as container runtimes do. Its mount outlives the process if Close is not called.
func NewNamed(name string) (*Namespace, error) {
	n, err := New()
	if err != nil {
		return nil, err
	}
	if err := n.bind(filepath.Join(folder, name)); err != nil {
		return nil, errors.Join(fmt.Errorf("name the network namespace %s: %w", name, err), n.Close())
	}
	return n, nil
}

// bind mounts the namespace on a new file.
func (n *Namespace) bind(path string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	n.mount = path
	return unix.Mount(n.descriptorPath(), path, "", unix.MS_BIND, "")
}

// Current returns the namespace of the calling goroutine's thread.
func Current() (*Namespace, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	file, err := os.Open(current())
	if err != nil {
		return nil, fmt.Errorf("open the current network namespace: %w", err)
	}
	return &Namespace{file: file}, nil
}

// Here is the namespace that the process was started in. It can be worked in without any rights, and has neither path nor
// descriptor.
func Here() *Namespace { return &Namespace{} }

// current is the path of the calling thread's namespace.
func current() string { return "/proc/thread-self/ns/net" }

// Path returns a path by which other processes reach the namespace while this one lives: the mount's, if it has a name.
func (n *Namespace) Path() string {
	if n.mount != "" {
		return n.mount
	}
	return n.descriptorPath()
}

func (n *Namespace) descriptorPath() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.FD())
}

// FD returns the descriptor of the namespace, which is valid until Close.
func (n *Namespace) FD() int { return int(n.file.Fd()) }

// Do runs the function on a thread in the namespace. Sockets that it opens and processes that it starts stay there;
// goroutines that it starts do not.
func (n *Namespace) Do(do func() error) error {
	if n.file == nil {
		return do()
	}
	return onThread(func() error {
		if err := unix.Setns(n.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace %s: %w", n.Path(), err)
		}
		return do()
	})
}

// onThread runs the function on a thread of its own, which ends with it, so that nothing else can run in the wrong namespace.
func onThread(do func() error) error {
	result := make(chan error, 1)
	go func() {
		finished := false
		defer func() {
			if !finished { // testing's FailNow has ended the goroutine
				result <- errors.New("the function did not return")
			}
		}()
		runtime.LockOSThread()
		err := do()
		finished = true
		result <- err
	}()
	return <-result
}

// Links returns a handle on the namespace's links, addresses and routes. The caller closes it.
func (n *Namespace) Links() (*netlink.Handle, error) {
	var handle *netlink.Handle
	err := n.Do(func() error {
		var err error
		handle, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return handle, nil
}

// Set sets a sysctl, named as sysctl(8) does; a slash stands for a dot inside an element.
func (n *Namespace) Set(name, value string) error {
	path := filepath.Join("/proc/sys", strings.NewReplacer(".", "/", "/", ".").Replace(name))
	return n.Do(func() error { return os.WriteFile(path, []byte(value), 0) })
}

// Close removes the namespace's name and lets go of it.
func (n *Namespace) Close() error {
	err := n.file.Close()
	if n.mount != "" {
		unmounted := unix.Unmount(n.mount, unix.MNT_DETACH)
		if errors.Is(unmounted, unix.EINVAL) {
			unmounted = nil // never was mounted
		}
		err = errors.Join(err, unmounted, os.Remove(n.mount))
	}
	return err
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

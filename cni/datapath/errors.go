// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
)

// AddressInUseError says that an address is on another interface of this node already.
type AddressInUseError struct {
	Address netip.Addr
	// Where it is, as far as known.
	Where string
}

func (e *AddressInUseError) Error() string {
	return fmt.Sprintf("address %s is in use on this node already, %s", e.Address, e.Where)
}

// MasterError says that the node's interface cannot carry pods.
type MasterError struct {
	// MAC of the interface, and its name if there is a link.
	MAC, Name string
	Reason    string
}

func (e *MasterError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("interface %s %s", e.MAC, e.Reason)
	}
	return fmt.Sprintf("interface %s (%s) %s", e.Name, e.MAC, e.Reason)
}

// ForeignLinkError says that something else's link has the name of the pod's interface.
type ForeignLinkError struct {
	Namespace, Name, Kind string
}

func (e *ForeignLinkError) Error() string {
	kind := e.Kind
	if kind == "" {
		kind = "physical or unknown"
	}
	return fmt.Sprintf("network namespace %s has an interface %s (%s) that underlay did not make: give the attachment another interface name, or let one network alone be the pod's default",
		e.Namespace, e.Name, kind)
}

// NamespaceError says that a path is no network namespace of a pod.
type NamespaceError struct {
	Path   string
	Reason string
	// Gone: no pod's namespace is there any more. There is nothing, the empty file on which one was mounted once, or the node's own: a path below /proc
	// leads there once the number of the pod's process was given to one of the node's.
	Gone bool
	Err  error
}

func (e *NamespaceError) Error() string {
	return fmt.Sprintf("network namespace %q %s", e.Path, e.Reason)
}

func (e *NamespaceError) Unwrap() error { return e.Err }

// LeftoverError says that Apply failed, and that what it made could not be removed.
type LeftoverError struct {
	// Err is why it failed, Undo why something is left.
	Err, Undo error
}

func (e *LeftoverError) Error() string {
	return fmt.Sprintf("%v; and what was made is not all removed: %v", e.Err, e.Undo)
}

func (e *LeftoverError) Unwrap() error { return e.Err }

// FolderError says that nothing can be written in the folder of hints.
type FolderError struct {
	Path string
	Err  error
}

func (e *FolderError) Error() string {
	reason := e.Err
	if wrapped, ok := errors.AsType[*fs.PathError](reason); ok {
		reason = wrapped.Err // the path stands in front already
	}
	return fmt.Sprintf("note the node's interface in %s: %v: its file system (usually the tmpfs at /run) must be writable and have space; pods start again by themselves then", e.Path, reason)
}

func (e *FolderError) Unwrap() error { return e.Err }

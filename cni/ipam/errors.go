// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// damagedError says that a store cannot be read: it is set aside, and a successor is made. Callers see it only if that fails too.
type damagedError struct {
	err error
	// certain: it need not be proved by reading the whole store.
	certain bool
}

func (e *damagedError) Error() string { return "the allocation store is damaged: " + e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

func damaged(format string, args ...any) error {
	return &damagedError{err: fmt.Errorf(format, args...)}
}

func isDamaged(err error) bool {
	var d *damagedError
	return errors.As(err, &d)
}

// BusyError says that somebody else kept the store locked for too long.
type BusyError struct {
	// Path of the lock.
	Path string
	// Holder is the process that has it, as far as known.
	Holder string
	// Err is why waiting ended.
	Err error
}

func (e *BusyError) Error() string {
	by := ""
	if e.Holder != "" {
		by = " by " + e.Holder
	}
	return fmt.Sprintf("the allocation store is locked%s (%s), and waiting for it ended: %v; it is held for milliseconds normally, so look at what that process does", by, e.Path, e.Err)
}

func (e *BusyError) Unwrap() error { return e.Err }

// RefusedError says that a request asks for what it may not or cannot have, however often it is repeated.
type RefusedError struct {
	Reason string
}

func (e *RefusedError) Error() string { return e.Reason }

func refuse(format string, args ...any) error {
	return &RefusedError{Reason: fmt.Sprintf(format, args...)}
}

// TakenError says that a requested address is not free.
type TakenError struct {
	Address netip.Addr
	// Reason is who has it, or until when it rests.
	Reason string
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("requested address %s %s", e.Address, e.Reason)
}

// ExhaustedError says that a network has no address left on this node; it may have one again later.
type ExhaustedError struct {
	Network, Node string
	// Pools that could have served the request, with their numbers.
	Pools []PoolUsage
	// RetryAfter is when the next address has rested; 0 if none rests.
	RetryAfter time.Duration
	// absent says of interfaces why the machine does not have them.
	absent []string
}

func (e *ExhaustedError) Error() string {
	parts := make([]string, 0, len(e.Pools)+len(e.absent))
	full := false
	for _, p := range e.Pools {
		parts = append(parts, p.String())
		full = full || p.Free == 0
	}
	parts = append(parts, e.absent...)
	message := fmt.Sprintf("network %s has no address for this pod on node %s: %s", e.Network, e.Node, strings.Join(parts, "; "))
	if e.RetryAfter > 0 {
		return message + fmt.Sprintf("; the next address has rested in %s, and the pod is tried again", e.RetryAfter.Round(time.Second))
	}
	if full {
		return message + "; delete pods of this network here, or bind more addresses to the interface: `kubectl underlay capacity` shows what fits"
	}
	return message + "; `kubectl underlay check` shows what is wrong"
}

// explain says what an error of the file system means for the store.
func explain(what, path string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		advice = ": its file system is full; free space there (usually the tmpfs at /run), pods start again by themselves then"
	case errors.Is(err, fs.ErrPermission):
		advice = ": CNI and agent must run as root, and the folder and its files must belong to root"
	case errors.Is(err, unix.EROFS):
		advice = ": its file system is mounted read-only; the store needs a writable one, usually the tmpfs at /run"
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ELOOP):
		advice = ": something else is in the way at that path; remove it"
	}
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrapped.Err // the path stands in front already
	}
	return &StorageError{Path: path, Err: fmt.Errorf("%s %s: %w%s", what, path, err, advice)}
}

// StorageError says that the file system keeps the store from working.
type StorageError struct {
	Path string
	Err  error
}

func (e *StorageError) Error() string { return e.Err.Error() }
func (e *StorageError) Unwrap() error { return e.Err }

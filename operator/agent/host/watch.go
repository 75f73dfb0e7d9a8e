// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Changes of a machine. Each channel holds one signal at most: many changes are one.
type Changes struct {
	// Links or their addresses changed: Apply must run soon.
	Links <-chan struct{}
	// Store changed: its pools may be counted anew.
	Store <-chan struct{}
}

// Watch says when the machine changes, until the context ends.
//
// The store's folder is watched by inotify: that costs nothing while no pod comes or goes, tells at once when one does, and needs neither a word from
// the CNI, which must not wait for the agent, nor polling, which would take the store's lock from pods.
func (h *Host) Watch(ctx context.Context) Changes {
	links, store := make(chan struct{}, 1), make(chan struct{}, 1)
	go h.keepWatching(ctx, "links", links, openLinkEvents)
	go h.keepWatching(ctx, "the allocation store", store, func() (*os.File, error) { return openFolderEvents(h.paths.Store) })
	return Changes{Links: links, Store: store}
}

// retryWatching is how long a watch that failed waits. What changes meanwhile is noticed behind it.
const retryWatching = 5 * time.Second

// keepWatching watches until the context ends, and starts anew when that fails. A new watch signals: something may have changed before it.
func (h *Host) keepWatching(ctx context.Context, what string, changes chan<- struct{}, open func() (*os.File, error)) {
	for ctx.Err() == nil {
		err := watch(ctx, changes, open)
		if ctx.Err() != nil {
			return
		}
		h.log.Warn("watching failed, and starts anew", "what", what, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retryWatching):
		}
	}
}

// watch signals for each event that comes, until something fails or the context ends.
func watch(ctx context.Context, changes chan<- struct{}, open func() (*os.File, error)) error {
	events, err := open()
	if err != nil {
		return err
	}
	defer events.Close()
	defer context.AfterFunc(ctx, func() { events.Close() })()
	buffer := make([]byte, 64<<10)
	for n := 0; ; {
		select {
		case changes <- struct{}{}:
		default: // there is a signal already
		}
		if n, err = events.Read(buffer); err != nil && !errors.Is(err, unix.ENOBUFS) { // which says that events were lost
			return err
		}
		if isOver(events, buffer[:max(n, 0)]) {
			return fmt.Errorf("%s is gone", events.Name())
		}
	}
}

const linkEvents = "links"

// openLinkEvents gives the kernel's messages about links and addresses of the network namespace that the calling thread is in.
func openLinkEvents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	file := os.NewFile(uintptr(fd), linkEvents)
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen to netlink: %w", err), file.Close())
	}
	return file, nil
}

// openFolderEvents gives inotify's messages about files of the folder, which is made where it is missing.
func openFolderEvents(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open inotify: %w", err)
	}
	file := os.NewFile(uintptr(fd), folder)
	_, err = unix.InotifyAddWatch(fd, folder, unix.IN_MODIFY|unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", folder, err), file.Close())
	}
	return file, nil
}

// isOver says whether the events of inotify tell that the folder is gone from its path.
func isOver(events *os.File, buffer []byte) bool {
	if events.Name() == linkEvents {
		return false
	}
	for len(buffer) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(buffer[4:])
		if mask&(unix.IN_IGNORED|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_UNMOUNT) != 0 {
			return true
		}
		next := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buffer[12:]))
		if next > len(buffer) {
			return false
		}
		buffer = buffer[next:]
	}
	return false
}

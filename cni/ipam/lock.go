// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock is the blocking flock which everyone takes before the node file or the store is read or written.
//
// Invariants: a lock counts only while its path still names the locked inode, so neither Erase nor a folder which somebody removed and made again can
// give two owners. The kernel drops the lock with its owner's death: nothing is stale after kill -9.
type lock struct {
	fd int
}

// acquire takes the lock at path, waiting until ctx or the patience, if it is not 0, ends. Waiting is done by the kernel, first come first served, not by
// polling.
func acquire(ctx context.Context, path string, patience time.Duration) (*lock, error) {
	for {
		// Not os.OpenFile: it would try to make the file known to the scheduler's poller, six system calls for nothing.
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, explain("open the lock of the allocation store", path, err)
		}
		if err := flock(ctx, fd, path, patience); err != nil {
			return nil, err
		}
		same, err := stillNames(path, fd)
		if same {
			return &lock{fd: fd}, nil
		}
		_ = unix.Close(fd)
		if err != nil {
			return nil, explain("inspect the lock of the allocation store", path, err)
		}
	}
}

// release gives the lock back by closing its file.
func (l *lock) release() error {
	return unix.Close(l.fd)
}

// flock locks a file. After an error the file is closed: when waiting ends first, as soon as the kernel grants the lock.
func flock(ctx context.Context, fd int, path string, patience time.Duration) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		_ = unix.Close(fd)
		return explain("lock the allocation store", path, err)
	}
	if patience > 0 { // a timer only here: it costs a process its first look for work on other threads
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	granted := make(chan error, 1)
	go func() { granted <- flockBlocking(fd) }()
	select {
	case err := <-granted:
		if err != nil {
			_ = unix.Close(fd)
			return explain("lock the allocation store", path, err)
		}
		return nil
	case <-ctx.Done():
		busy := &BusyError{Path: path, Holder: holder(fd), Err: context.Cause(ctx)}
		go func() {
			_ = errors.Join(<-granted, unix.Close(fd)) // nobody waits for it any more
		}()
		return busy
	}
}

// flockBlocking waits for the lock; a signal, such as the Go scheduler's own, only makes it wait again.
func flockBlocking(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// stillNames says whether path is the file that is open.
func stillNames(path string, fd int) (bool, error) {
	var open, named unix.Stat_t
	if err := unix.Fstat(fd, &open); err != nil {
		return false, err
	}
	if err := unix.Lstat(path, &named); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	return open.Dev == named.Dev && open.Ino == named.Ino, nil
}

// holder names the process that holds the lock on a file, as far as /proc tells: it is only for an error message.
func holder(fd int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	// A line reads: "1: FLOCK  ADVISORY  WRITE 4711 fd:00:9876 0 EOF"; a line with "->" waits.
	inode := ":" + strconv.FormatUint(st.Ino, 10)
	for line := range strings.Lines(string(locks)) {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[1] != "FLOCK" || !strings.HasSuffix(fields[5], inode) {
			continue
		}
		name, err := os.ReadFile(filepath.Join("/proc", fields[4], "comm"))
		if err != nil {
			return "a process of another container"
		}
		return fmt.Sprintf("process %s (%s)", fields[4], strings.TrimSpace(string(name)))
	}
	return ""
}

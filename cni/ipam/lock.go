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

	"golang.org/x/sys/unix"
)

// lock is the blocking flock which everyone takes before the node file or the store is read or written.
//
// Invariants: the file is never removed by us, and a lock counts only while its path still names the locked inode, so a folder which somebody
// removed and made again cannot give two owners. The kernel drops the lock with its owner's death: nothing is stale after kill -9.
type lock struct {
	file *os.File
}

// acquire takes the lock at path, waiting until ctx ends. Waiting is done by the kernel, first come first served, not by polling.
func acquire(ctx context.Context, path string) (*lock, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, explain("open the lock of the allocation store", path, err)
		}
		if err := flock(ctx, file); err != nil {
			return nil, err
		}
		same, err := stillNames(path, file)
		if same {
			return &lock{file: file}, nil
		}
		_ = file.Close()
		if err != nil {
			return nil, explain("inspect the lock of the allocation store", path, err)
		}
	}
}

// release gives the lock back by closing its file.
func (l *lock) release() error {
	return l.file.Close()
}

// flock locks file. When ctx ends first, file is closed as soon as the kernel grants the lock.
func flock(ctx context.Context, file *os.File) error {
	fd := int(file.Fd())
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		_ = file.Close()
		return explain("lock the allocation store", file.Name(), err)
	}
	granted := make(chan error, 1)
	go func() { granted <- flockBlocking(fd) }()
	select {
	case err := <-granted:
		if err != nil {
			_ = file.Close()
			return explain("lock the allocation store", file.Name(), err)
		}
		return nil
	case <-ctx.Done():
		busy := &BusyError{Path: file.Name(), Holder: holder(file), Err: context.Cause(ctx)}
		go func() {
			<-granted
			_ = file.Close()
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
func stillNames(path string, file *os.File) (bool, error) {
	var open, named unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &open); err != nil {
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

// holder names the process that holds the lock on file, as far as /proc tells: it is only for an error message.
func holder(file *os.File) string {
	var st unix.Stat_t
	if unix.Fstat(int(file.Fd()), &st) != nil {
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
			return "process " + fields[4]
		}
		return fmt.Sprintf("process %s (%s)", fields[4], strings.TrimSpace(string(name)))
	}
	return ""
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package ipam

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Go's runtime interrupts its threads by signals, in the middle of system calls too. Many kernels, the machine's among them, then give up reserving space
// on a tmpfs, which is no reason to fail. Here a thread gets those signals as fast as they can be sent.
func TestReserveAmongSignals(t *testing.T) {
	w := newWorld(t, ipv4())
	var system unix.Statfs_t
	if err := unix.Statfs(w.options.Folder, &system); err != nil || system.Type != unix.TMPFS_MAGIC {
		t.Fatalf("the test's folder is not on a tmpfs: type %x, %v", system.Type, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	process, thread, stop := os.Getpid(), unix.Gettid(), make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Tgkill(process, thread, unix.SIGURG)
			}
		}
	}()
	w.store(func(s *Store) {
		for begin := time.Now(); time.Since(begin) < 3*time.Second; {
			if err := s.view(s.reserve); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLockIsExclusive(t *testing.T) {
	w := newWorld(t, ipv4())
	first, err := Open(t.Context(), w.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Open(ctx, w.options)
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if want := fmt.Sprintf("is locked by process %d (", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, which lacks %q", err, want)
	}
	opened := make(chan error)
	go func() {
		s, err := Open(context.Background(), w.options)
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
	// The one that gave up waiting does not keep the lock once it gets it.
	w.add("a")
}

// Somebody removes the folder and makes it again while one process has the lock and another waits for it: both would hold "the" lock.
func TestLockOfAFolderMadeAgain(t *testing.T) {
	parent := t.TempDir()
	folder, other := filepath.Join(parent, "underlay"), filepath.Join(parent, "other")
	for _, f := range []string{folder, other} {
		if err := os.Mkdir(f, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(folder, "lock")
	first, err := acquire(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := unix.Open(path, unix.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan *lock)
	go func() {
		l, err := acquire(context.Background(), path, 0) // waits for the old file, or finds the new one: either way it ends with the new one
		if err != nil {
			t.Error(err)
		}
		second <- l
	}()
	if err := unix.Renameat2(unix.AT_FDCWD, other, unix.AT_FDCWD, folder, unix.RENAME_EXCHANGE); err != nil {
		t.Fatal(err)
	}
	if err := first.release(); err != nil {
		t.Fatal(err)
	}
	l := <-second
	if same, err := stillNames(path, l.fd); !same || err != nil {
		t.Errorf("the lock is not that of the path: %v", err)
	}
	if same, err := stillNames(path, waiting); same || err != nil {
		t.Errorf("the old file counts as the lock: %v", err)
	}
	if err := errors.Join(l.release(), unix.Close(waiting)); err != nil {
		t.Error(err)
	}
}

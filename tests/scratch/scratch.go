// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package scratch makes temporary folders of which nothing stays for long, however their owner ends: a folder carries a lock
// that its owner holds as long as it lives, and whoever makes the next one of the same prefix removes those without. It
// imports the standard library alone.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// grace is how long a folder is left alone after it was made: its lock is not yet held for a moment.
const grace = time.Minute

// Folder is a temporary folder.
type Folder struct {
	dir  string
	held *os.File // the lock
}

// New removes folders with the prefix that killed processes have left and makes a new one.
func New(prefix string) (*Folder, error) {
	removeAbandoned(prefix)
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	f := &Folder{dir: dir}
	if f.held, err = os.Create(f.Path("lock")); err == nil {
		err = syscall.Flock(int(f.held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the temporary folder %s: %w", dir, err), f.Remove())
	}
	return f, nil
}

// Path returns the path of a file or folder in it.
func (f *Folder) Path(elements ...string) string {
	return filepath.Join(append([]string{f.dir}, elements...)...)
}

// Remove deletes the folder and gives up its lock.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.dir)
	if f.held != nil {
		err = errors.Join(err, f.held.Close())
	}
	if err != nil {
		return fmt.Errorf("remove the temporary folder: %w", err)
	}
	return nil
}

// removeAbandoned deletes the folders whose process is gone. What cannot be deleted, perhaps another user's, stays.
func removeAbandoned(prefix string) {
	locks, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", "lock"))
	if err != nil {
		return // a malformed pattern, from an unusual temporary folder
	}
	for _, path := range locks {
		info, err := os.Stat(path)
		if err != nil || time.Since(info.ModTime()) < grace {
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		_ = file.Close()
	}
}

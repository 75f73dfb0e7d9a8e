// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Exists says whether there is a store. It takes no lock.
func Exists(folder string) bool {
	_, err := os.Lstat((&Store{options: Options{Folder: folder}}).path())
	return err == nil
}

// Erase removes the store and all that was set aside, and gives back the lock, as Close does. Addresses that rest are forgotten. The store must hold no
// record.
func (s *Store) Erase() error {
	numbers, err := s.asideNumbers()
	errs := []error{err}
	files := []string{s.path(), s.path() + ".new"}
	for _, n := range numbers {
		files = append(files, s.asideName(n), s.asideName(n)+".txt")
	}
	for _, f := range append(files, lockPath(s.options.Folder)) { // the lock last: who waits for it finds it gone, and takes a new one
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, explain("remove", f, err))
		}
	}
	return errors.Join(append(errs, s.Close())...)
}

func lockPath(folder string) string { return filepath.Join(folder, "lock") }

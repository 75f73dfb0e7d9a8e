// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package scratch

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

const prefix = "kubectl-underlay-test-"

func TestFolders(t *testing.T) {
	tests := map[string]struct {
		abandoned bool // the owner is gone
		age       time.Duration
		stays     bool
	}{
		"in use":              {abandoned: false, age: 2 * grace, stays: true},
		"abandoned":           {abandoned: true, age: 2 * grace, stays: false},
		"just made, unlocked": {abandoned: true, age: 0, stays: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			first, err := New(prefix)
			if err != nil {
				t.Fatal(err)
			}
			made := time.Now().Add(-test.age)
			if err := os.Chtimes(first.Path("lock"), made, made); err != nil {
				t.Fatal(err)
			}
			if test.abandoned {
				if err := first.held.Close(); err != nil { // as the end of the process does
					t.Fatal(err)
				}
				first.held = nil
			}
			second, err := New(prefix)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(first.Path()); (err == nil) != test.stays {
				t.Errorf("stays: %v, want %v", err, test.stays)
			}
			for _, folder := range []*Folder{first, second} {
				if err := folder.Remove(); err != nil {
					t.Error(err)
				}
				if _, err := os.Stat(folder.Path()); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("removed folder: %v", err)
				}
			}
		})
	}
}

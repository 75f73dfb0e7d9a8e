// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package goldenfile compares what tests get with files of the repository: golden files, and pages of docs that are
// generated. It is imported by tests alone.
package goldenfile

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Compare fails the test if the file at path is not what it got. With update, which is the flag -update of the test's
// package, it writes the file anew instead.
func Compare(t testing.TB, path, got string, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make it by this test, %s, with -update", err, t.Name())
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if it is right now, rewrite it by this test, %s, with -update:\n%s", path, t.Name(), diff)
	}
}

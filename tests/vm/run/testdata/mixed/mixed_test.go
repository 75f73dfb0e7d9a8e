// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

// Package mixed has tests with all results.
package mixed

import (
	"os"
	"strings"
	"testing"
)

func TestPasses(t *testing.T) {
	content, err := os.ReadFile("testdata.txt") // in the package's folder
	if err != nil || !strings.HasPrefix(string(content), "found") {
		t.Errorf("read %q, %v", content, err)
	}
	t.Run("subtest", func(*testing.T) {})
}

func TestFails(t *testing.T) { t.Error("it fails") }

func TestSkips(t *testing.T) { t.Skip("it skips") }

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

// Package panics has a test that ends the kernel.
package panics

import (
	"os"
	"testing"
)

func TestPanics(*testing.T) {
	os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	select {}
}

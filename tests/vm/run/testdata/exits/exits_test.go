// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

// Package exits has a test that ends the process.
package exits

import (
	"os"
	"testing"
)

func TestExits(*testing.T) { os.Exit(7) }

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package ui

import "os"

// enableEscapes has nothing to do: terminals understand escape sequences.
func enableEscapes(*os.File) {}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"os"

	"charm.land/lipgloss/v2"
)

// enableEscapes makes an older console understand escape sequences.
func enableEscapes(f *os.File) { lipgloss.EnableLegacyWindowsANSI(f) }

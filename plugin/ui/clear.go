// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

// Clear empties a terminal before a view is drawn anew; elsewhere it does nothing.
func (s *Screen) Clear() {
	if s.interactive {
		s.print("\x1b[H\x1b[2J")
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package ui draws the plugin's views: tables, findings, differences, progress. It takes values and gives text; it
// decides nothing and reads no cluster. It is the only package that uses lipgloss, and imports neither cobra nor
// client-go nor internal/check.
//
// Invariants:
//   - No line is wider than the screen, but for a quoted part of a command that is (Next). Where the width is unlimited
//     (a pipe), nothing is left out or cut.
//   - Whatever came from a cluster or a file is printed as text: control characters, escape sequences and characters
//     that change the direction of writing are shown as escapes (\x1b), never sent.
//   - Colour only repeats what words or symbols say already. Symbols have plain ASCII forms.
//   - The same values give the same text.
//
// Numbers of addresses are exact below 100,000 and rounded down to three digits above (281T); json and yaml are exact.
package ui

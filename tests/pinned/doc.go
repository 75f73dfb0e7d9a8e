// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package pinned builds programs of other projects from the modules that a go.mod of ours pins, and keeps them outside
// the tree: what takes minutes happens once per machine, not once per run. Our own programs come from our Makefile at each run (Make).
//
// A program is built into a temporary file and renamed, so that a file under its final name is complete; a file lock
// makes parallel test processes build each program once. The folder's name is a hash of everything that goes into the
// programs: whatever changes, changes the folder, and no program is ever rebuilt in place.
//
// The package imports the standard library alone and runs on Unix.
package pinned

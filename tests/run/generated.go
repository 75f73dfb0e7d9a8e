// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// checkGenerated generates into place and fails if that changed any file. In a clean clone this compares with what is
// committed; in a work tree in use it leaves alone what is merely not committed yet.
func checkGenerated(ctx context.Context, w io.Writer) error {
	before, err := hashFiles(ctx)
	if err != nil {
		return err
	}
	if err := runCommand(ctx, w, "make", "--no-print-directory", "generate"); err != nil {
		return err
	}
	after, err := hashFiles(ctx)
	if err != nil {
		return err
	}
	if stale := changed(before, after); len(stale) > 0 {
		return fmt.Errorf("stale, and now brought up to date; commit what \"make generate\" made of:\n  %s", strings.Join(stale, "\n  "))
	}
	return nil
}

// hashFiles returns the content's hash of each file in the work tree that git does not ignore.
func hashFiles(ctx context.Context) (map[string][sha256.Size]byte, error) {
	list, err := command(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of the work tree: %w", err)
	}
	hashes := map[string][sha256.Size]byte{}
	for name := range bytes.SplitSeq(list, []byte{0}) {
		content, err := os.ReadFile(string(name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // deleted, though git still knows it; or the empty name after the last NUL
		case err != nil:
			return nil, fmt.Errorf("read the files of the work tree: %w", err)
		default:
			hashes[string(name)] = sha256.Sum256(content)
		}
	}
	return hashes, nil
}

// changed returns the names of files that were added, removed or changed, sorted.
func changed[H comparable](before, after map[string]H) []string {
	names := map[string]bool{}
	for name, hash := range before {
		if now, ok := after[name]; !ok || now != hash {
			names[name] = true
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

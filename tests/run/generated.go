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
//
// While it generates, an editor may write to other files. Unless strict it therefore fails only for those that
// .gitattributes marks as generated.
func checkGenerated(ctx context.Context, w io.Writer, strict bool) error {
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
	stale, other, err := splitGenerated(ctx, changed(before, after))
	if err != nil {
		return err
	}
	if len(other) > 0 {
		fmt.Fprintf(w, "changed meanwhile, though .gitattributes does not mark it as generated:\n  %s\n", strings.Join(other, "\n  "))
	}
	if strict {
		stale = append(stale, other...)
	}
	if len(stale) > 0 {
		return fmt.Errorf("stale, and now brought up to date; commit what \"make generate\" made of:\n  %s", strings.Join(stale, "\n  "))
	}
	return nil
}

// splitGenerated tells the files that .gitattributes marks as generated from others.
func splitGenerated(ctx context.Context, names []string) (generated, other []string, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	cmd := command(ctx, "git", append([]string{"check-attr", "-z", "linguist-generated", "--"}, names...)...)
	output, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("ask git which files are generated: %w", err)
	}
	// Name, attribute and value of each, every one ended by a NUL.
	for fields := range slices.Chunk(strings.Split(string(output), "\x00"), 3) {
		switch {
		case len(fields) < 3: // what follows the last NUL
		case fields[2] == "set":
			generated = append(generated, fields[0])
		default:
			other = append(other, fields[0])
		}
	}
	return generated, other, nil
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

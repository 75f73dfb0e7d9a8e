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
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// runVMTests runs the tests that need a kernel of their own, and adds them to the results. As "go test" does with its
// cache, it does not run them again while nothing changed that goes into them, unless strict: the events of the run in
// which all passed are kept outside the tree and read again.
func runVMTests(ctx context.Context, w io.Writer, all *results) error {
	inVM := &results{strict: all.strict}
	err := readOrRun(ctx, w, inVM)
	all.cases = append(all.cases, inVM.cases...)
	return errors.Join(err, writeJUnit(filepath.Join("build", "vm", "junit.xml"), inVM))
}

func readOrRun(ctx context.Context, w io.Writer, results *results) error {
	kept, err := keptEvents(ctx)
	if err != nil {
		return err
	}
	if !results.strict {
		events, err := os.ReadFile(kept)
		if err == nil {
			fmt.Fprintln(w, "nothing changed since these passed:")
			return readEvents(bytes.NewReader(events), w, results)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	var events bytes.Buffer
	if err := runEvents(ctx, w, results, command(ctx, "go", "run", "./tests/vm/run", "-json", "-timeout="+testTimeout), &events); err != nil {
		return err
	}
	if results.failed() > 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return err
	}
	return os.WriteFile(kept, events.Bytes(), 0o644)
}

// keptEvents is the file for the events of a run, named by a hash of the sources that go into it.
func keptEvents(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	const ours = "{{with .Module}}{{if .Main}}{{$.Dir}}{{end}}{{end}}"
	folders, err := command(ctx, "go", "list", "-deps", "-test", "-tags=vm", "-f", ours, "./cni/...", "./cmd/underlay", "./operator/agent/host", "./tests/vm/...", "./tests/fabric/...").Output()
	if err != nil {
		return "", fmt.Errorf("list the packages of the virtual machine's tests: %w", err)
	}
	files := []string{"go.mod", "go.sum"}
	for folder := range strings.FieldsSeq(string(folders)) {
		for _, pattern := range []string{"*.go", "testdata/*", "testdata/*/*"} {
			found, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				return "", err
			}
			files = append(files, found...)
		}
	}
	slices.Sort(files)
	hash := sha256.New()
	fmt.Fprintln(hash, runtime.Version())
	for _, file := range slices.Compact(files) {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %x\n", filepath.Base(file), sha256.Sum256(content))
	}
	return filepath.Join(cache, "kubectl-underlay", "vm-tests", fmt.Sprintf("%x.json", hash.Sum(nil)[:16])), nil
}

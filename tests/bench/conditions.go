// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// conditionsFile has a line for each area that says on what machine and beside how much other work it was measured.
const conditionsFile = "conditions.md"

// noteConditions writes an area's line.
func noteConditions(folder, area string, begun time.Time, before string) error {
	path := filepath.Join(folder, conditionsFile)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(old)), "\n"), func(line string) bool {
		return line == "" || strings.HasPrefix(line, "- "+area+":")
	})
	lines = append(lines, fmt.Sprintf("- %s: %s and %s, in %s, %s, on %d processors%s", area, before, loadAverage(),
		time.Since(begun).Round(time.Second), begun.UTC().Format(time.DateOnly), runtime.NumCPU(), processor()))
	slices.Sort(lines)
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// loadAverage of the last minute, as the system writes it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "an unknown load"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// processor is what the system calls its processors, if it does.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, found := strings.Cut(string(text), "model name")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, "\n")
	return " of " + strings.TrimSpace(strings.TrimLeft(name, "\t :"))
}

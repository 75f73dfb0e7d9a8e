// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestCheckGenerated generates in a repository whose "generate" copies a file and lists itself.
func TestCheckGenerated(t *testing.T) {
	tests := map[string]struct {
		made   map[string]string // as committed
		strict bool
		want   string // in the error; empty: none
	}{
		"current":               {map[string]string{"copy": "content"}, true, ""},
		"stale":                 {map[string]string{"copy": "old content"}, false, "\n  copy"},
		"never made":            {nil, false, "\n  copy"},
		"does not go":           {map[string]string{"copy/is-a-folder": ""}, false, "make --no-print-directory generate"},
		"another file":          {map[string]string{"copy": "content", "unmarked": "old content"}, false, ""},
		"another file (strict)": {map[string]string{"copy": "content", "unmarked": "old content"}, true, "\n  unmarked"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			files := map[string]string{
				"original": "content",
				"Makefile": "generate:\n\t@cp -T original copy\n\t@cp original unmarked\n\t@date +%N >ignored\n",
				// What git ignores may change as it likes.
				".gitignore":     "ignored\n",
				".gitattributes": "copy linguist-generated\n",
				"unmarked":       "content",
			}
			maps.Copy(files, test.made)
			for path, content := range files {
				write(t, path, content)
			}
			for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
				if output, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
					t.Fatalf("git %v: %v\n%s", args, err, output)
				}
			}

			err := checkGenerated(t.Context(), io.Discard, test.strict)
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error is %v, want one that says %q", err, test.want)
			}
		})
	}
}

// write writes a file and makes the folder that it is in.
func write(t *testing.T, path, content string) {
	t.Helper()
	if dir, _, ok := strings.Cut(path, "/"); ok {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRunSteps(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	results := &results{}
	var screen bytes.Buffer
	timings := runSteps(ctx, &screen, []step{
		{"first", func(_ context.Context, w io.Writer) error {
			fmt.Fprintln(w, "something was wrong")
			return errors.New("it failed")
		}},
		{"second", func(context.Context, io.Writer) error {
			cancel()
			return nil
		}},
		{"third", func(context.Context, io.Writer) error {
			t.Error("a step ran after the run was interrupted")
			return nil
		}},
	}, results)

	if len(timings) != 2 || !timings[0].failed || timings[1].failed {
		t.Errorf("timings are %v, want those of a failed and a good step", timings)
	}
	failed := results.with(fail)
	if len(failed) != 1 || failed[0].suite != "make test: first" || failed[0].output != "something was wrong\nit failed\n" {
		t.Errorf("failures are %+v, want that of the first step with its output", failed)
	}
}

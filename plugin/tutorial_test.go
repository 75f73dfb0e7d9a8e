// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"os"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// TestTutorial runs each command of the tutorial's console blocks and compares what follows it with what is printed.
func TestTutorial(t *testing.T) {
	const path = "../docs/tutorial.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("..") // commands are run from the top of the repository
	const begin, end = "```console\n$ kubectl underlay ", "```\n"
	var got strings.Builder
	commands := 0
	for rest := string(text); ; commands++ {
		before, block, found := strings.Cut(rest, begin)
		got.WriteString(before)
		if !found {
			break
		}
		line, block, _ := strings.Cut(block, "\n")
		_, rest, _ = strings.Cut(block, end)
		r := run(t, line)
		if r.code > 1 {
			t.Errorf("%s: exit code %d: %s", line, r.code, r.stderr)
		}
		got.WriteString(begin + line + "\n" + r.stdout + end)
	}
	if commands == 0 {
		t.Fatal("the tutorial has no console blocks")
	}
	goldenfile.Compare(t, "docs/tutorial.md", got.String(), *update)
}

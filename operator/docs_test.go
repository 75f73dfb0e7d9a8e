// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumented: the page about the operator names every reason, flag and metric.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/operator.md")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(sources, "../cmd/underlay-operator/main.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for pattern, prefix := range map[string]string{
			`reason\w+\s+= "(\w+)"`:                              "`",
			`\{"(Ranges\w+)", "%s`:                               "`",
			`true, "(\w+)", "`:                                   "`",
			`Name: "(underlay_\w+)"`:                             "`",
			`flags\.\w+\((?:&options\.\w+, )?"([a-z][a-z-]+)", `: "`--",
		} {
			for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
				found++
				if !strings.Contains(string(page), prefix+match[1]+"`") {
					t.Errorf("docs/reference/operator.md does not name %s%s, of %s", strings.TrimPrefix(prefix, "`"), match[1], file)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d names found: the patterns no longer fit the source", found)
	}
}

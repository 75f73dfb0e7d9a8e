// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

var update = flag.Bool("update", false, "write what the tests got into testdata")

// TestReadEvents reads recorded output of "go test -json" and compares what people see, and the JUnit report, with what
// is in testdata.
func TestReadEvents(t *testing.T) {
	tests := map[string]struct {
		strict         bool
		passed, failed int
	}{
		"all-kinds":        {false, 4, 4},
		"all-kinds-strict": {true, 4, 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			stream, err := os.Open(filepath.Join("testdata", "all-kinds.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			results := &results{strict: test.strict}
			var screen bytes.Buffer
			if err := readEvents(stream, &screen, results); err != nil {
				t.Fatal(err)
			}
			summarize(&screen, results, nil)

			if results.passed() != test.passed || results.failed() != test.failed {
				t.Errorf("%d passed, %d failed; want %d and %d", results.passed(), results.failed(), test.passed, test.failed)
			}
			golden(t, name+".txt", screen.Bytes())
			report, err := xml.MarshalIndent(junit(results), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".xml", report)
		})
	}
}

// golden compares got with a file of testdata, or writes it there.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	goldenfile.Compare(t, filepath.Join("testdata", name), string(got), *update)
}

func TestReadEventsBrokenStream(t *testing.T) {
	err := readEvents(strings.NewReader(`{"Action":"pass"`), &bytes.Buffer{}, &results{})
	if err == nil {
		t.Error("a stream that ends in the middle of an event was taken for complete")
	}
}

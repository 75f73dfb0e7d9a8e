// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestInventoryFiles reads every file in testdata/inventory and compares what came out with the file's golden twin:
// the problems, or the inventory.
func TestInventoryFiles(t *testing.T) {
	testFiles(t, "testdata/inventory", func(name string, raw []byte) (any, error) {
		return document.ReadInventory(name, bytes.NewReader(raw))
	})
}

// TestNetworkFiles does the same for testdata/network.
func TestNetworkFiles(t *testing.T) {
	testFiles(t, "testdata/network", func(name string, raw []byte) (any, error) {
		return document.ReadNetworks(name, bytes.NewReader(raw))
	})
}

func testFiles(t *testing.T, dir string, read func(string, []byte) (any, error)) {
	for _, path := range inputs(t, dir) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			goldenfile.Compare(t, path+".golden", outcome(t, name, raw, read), *update)
		})
	}
}

func inputs(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, path := range all {
		if !strings.HasSuffix(path, ".golden") {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		t.Fatalf("no files in %s", dir)
	}
	return paths
}

// outcome is the text of the error, which must be a *document.Error, or what was read as JSON.
func outcome(t *testing.T, name string, raw []byte, read func(string, []byte) (any, error)) string {
	t.Helper()
	got, err := read(name, raw)
	if err != nil {
		if _, ok := errors.AsType[*document.Error](err); !ok {
			t.Fatalf("error of type %T, want *document.Error: %v", err, err)
		}
		return err.Error() + "\n"
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// TestExamples reads the examples of the documentation.
func TestExamples(t *testing.T) {
	const dir = "../../docs/examples"
	inventories := 0
	for _, path := range inputs(t, dir) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case bytes.Contains(raw, []byte("kind: Inventory")):
			inventories++
			_, err = document.ReadInventory(path, bytes.NewReader(raw))
		case bytes.Contains(raw, []byte("kind: UnderlayNetwork")):
			_, err = document.ReadNetworks(path, bytes.NewReader(raw))
		}
		if err != nil {
			t.Error(err)
		}
	}
	if inventories == 0 {
		t.Errorf("no inventory in %s", dir)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/underlay-dev/kubectl-underlay/internal/document"
)

// seeds adds the files of a folder, good and bad, to what fuzzing starts from.
func seeds(f *testing.F, dirs ...string) {
	f.Helper()
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.[yj]*[ln]"))
		if err != nil || len(paths) == 0 {
			f.Fatalf("no files in %s: %v", dir, err)
		}
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw)
		}
	}
}

// FuzzReadInventory: nothing makes the reader panic, and an inventory that was accepted is accepted again, as the same,
// after it was written.
func FuzzReadInventory(f *testing.F) {
	seeds(f, "testdata/inventory", "../../docs/examples")
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := document.ReadInventory("first", bytes.NewReader(raw))
		if err != nil {
			return
		}
		written, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		second, err := document.ReadInventory("second", bytes.NewReader(written))
		if err != nil {
			t.Fatalf("accepted, but not after it was written: %v\n%s", err, written)
		}
		same := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
		if diff := cmp.Diff(first, second, same); diff != "" {
			t.Errorf("changed by writing and reading (-before +after):\n%s", diff)
		}
	})
}

// FuzzReadNetworks: the same for networks.
func FuzzReadNetworks(f *testing.F) {
	seeds(f, "testdata/network")
	f.Fuzz(func(t *testing.T, raw []byte) {
		first, err := document.ReadNetworks("first", bytes.NewReader(raw))
		if err != nil {
			return
		}
		var written bytes.Buffer
		for _, network := range first {
			if err := json.NewEncoder(&written).Encode(network); err != nil {
				t.Fatalf("accepted, but cannot be written: %v", err)
			}
		}
		second, err := document.ReadNetworks("second", &written)
		if err != nil {
			t.Fatalf("accepted, but not after it was written: %v", err)
		}
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("changed by writing and reading (-before +after):\n%s", diff)
		}
	})
}

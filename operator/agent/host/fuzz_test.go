// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// FuzzReadConfig reads files as they may stand in the runtime's folder: whatever the runtime can use, we take for the same.
func FuzzReadConfig(f *testing.F) {
	own, err := configOf(&nodefile.Network{Name: "ens5"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte(`{"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus-shim"}`))
	f.Add([]byte(`{"cniVersion": "0.3.1", "name": "n", "plugins": [{"type": "multus"}, {"type": "underlay"}]}`))
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(folder, "00.conflist")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c, exists, err := readConfig(path)
		if err != nil || !exists {
			t.Fatalf("exists %v, %v", exists, err)
		}
		list, err := libcni.ConfListFromBytes(content)
		if err != nil || len(list.Plugins) == 0 {
			return // runtimes refuse it
		}
		kind := list.Plugins[0].Network.Type
		if multus := kind == "multus" || strings.HasPrefix(kind, "multus-"); multus != c.isMultus() {
			t.Errorf("the first plugin is %q, and Multus: %v", kind, c.isMultus())
		}
		if kind != cni.Type && c.network() != "" {
			t.Errorf("the first plugin is %q, and the network ours, %q", kind, c.network())
		}
	})
}

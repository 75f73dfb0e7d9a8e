// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni_test

import (
	"os"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/cni"
)

// These make the test's program the plugin, with other paths than those compiled in.
const (
	nodeFileVariable = "UNDERLAY_TEST_NODE_FILE"
	folderVariable   = "UNDERLAY_TEST_FOLDER"
)

// TestMain lets tests start this program as the plugin.
func TestMain(m *testing.M) {
	if path := os.Getenv(nodeFileVariable); path != "" {
		plugin := cni.New()
		plugin.NodeFile, plugin.Folder = path, os.Getenv(folderVariable)
		if os.Getenv(churnVariable) != "" {
			os.Exit(churn(*plugin, os.Stdin))
		}
		os.Exit(plugin.Main("CNI plugin underlay test"))
	}
	os.Exit(m.Run())
}

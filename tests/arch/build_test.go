// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package arch

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPluginBuildsWhereKubectlRuns compiles the plugin for the systems other than this one; linux is built anyway.
func TestPluginBuildsWhereKubectlRuns(t *testing.T) {
	for _, system := range []string{"darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "./plugin/...")
			cmd.Dir = filepath.Join("..", "..")
			cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH=arm64", "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("the plugin does not build for %s: %v\n%s", system, err, out)
			}
		})
	}
}

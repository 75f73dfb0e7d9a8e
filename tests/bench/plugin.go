// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

const (
	startPairs  = 31
	startWarmup = 3
)

// measurePlugin compares how long a user waits for the plugin and for kubectl to say their versions.
func measurePlugin(ctx context.Context, progress io.Writer) ([]row, error) {
	binaries, err := controlplane.Binaries(ctx, progress)
	if err != nil {
		return nil, err
	}
	plugin, err := buildProgram(ctx, "kubectl-underlay")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(filepath.Dir(plugin))
	var ours, peer []float64
	for i := range startWarmup + startPairs {
		programs := []string{plugin, filepath.Join(binaries, "kubectl")}
		times := make([]float64, len(programs))
		for k := range programs {
			which := (i + k) % len(programs) // each goes first every second time
			if times[which], err = milliseconds(ctx, programs[which], "version", "--client"); err != nil {
				return nil, err
			}
		}
		if i >= startWarmup {
			ours, peer = append(ours, times[0]), append(peer, times[1])
		}
	}
	return []row{newComparison("plugin-start", "ms", "kubectl version --client", ours, peer)}, nil
}

// buildProgram builds one of our programs as a release does.
func buildProgram(ctx context.Context, name string) (string, error) {
	root, err := pinned.Root()
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "underlay-bench-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(folder, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v0.0.0", "-o", program, "./cmd/"+name)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		return "", fmt.Errorf("build "+name+": %w\n%s", err, out)
	}
	return program, nil
}

// milliseconds that the program runs, from start to exit. No kubeconfig of the user has a part in it.
func milliseconds(ctx context.Context, program string, args ...string) (float64, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+os.DevNull)
	cmd.Stderr = os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return float64(time.Since(start).Microseconds()) / 1000, nil
}

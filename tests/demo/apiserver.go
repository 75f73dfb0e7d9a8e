// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

const walkthrough = "docs/examples/walkthrough.yaml"

// onAPIServer sets up an API server that knows two nodes, and EC2, without anything that runs pods.
func (s *stage) onAPIServer(ctx context.Context, progress io.Writer) error {
	inventory, err := document.OpenInventory(walkthrough)
	if err != nil {
		return fmt.Errorf("%w; run the demo from the top of the repository", err)
	}
	if err := pinned.Make(ctx, progress, "build"); err != nil {
		return err
	}
	plane, err := controlplane.Start(ctx, controlplane.Options{
		CRDs:     [][]byte{controlplane.MultusCRD()},
		Objects:  controlplane.NodesOf(inventory),
		Progress: progress,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, plane.Stop)
	s.binaries = plane.Bin
	ec2, err := ec2sim.New(inventory)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { ec2.Close(); return nil })
	dir, err := os.MkdirTemp("", "underlay-demo-")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return os.RemoveAll(dir) })
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig); err != nil {
		return err
	}
	s.ready = "an empty cluster of two nodes on paper, and their instances in a simulated EC2"
	s.steps = []step{
		{"What do nodes and cloud have?", "kubectl underlay inspect"},
		{"Is anything in the way?", "kubectl underlay check"},
		{"Plan networks, pools and attachments, show the difference, apply it.", "kubectl underlay init --no-operator --yes"},
		{"The pools, as the API server holds them now.", "kubectl underlay pools"},
		{"Once more: nothing is left to change.", "kubectl underlay init --no-operator --yes"},
	}
	return s.setEnvironment(kubeconfig, ec2.URL())
}

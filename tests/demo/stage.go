// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// stage is what the demo plays on.
type stage struct {
	plane    *controlplane.ControlPlane
	cloud    *ec2sim.Server
	dir      string // temporary: the kubeconfig
	binaries string // kubectl
	env      []string
}

// setUp builds what is missing, and starts API server and EC2 simulator with the walkthrough's nodes.
func setUp(ctx context.Context, progress io.Writer) (_ *stage, err error) {
	s := &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	inventory, err := readInventory()
	if err != nil {
		return nil, err
	}
	if err := buildPlugin(ctx, progress); err != nil {
		return nil, err
	}
	s.plane, err = controlplane.Start(ctx, controlplane.Options{
		CRDs:     [][]byte{controlplane.MultusCRD()},
		Objects:  controlplane.NodesOf(inventory),
		Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	s.binaries = s.plane.Bin
	if s.cloud, err = ec2sim.New(inventory); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "underlay-demo-"); err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	if err := s.plane.WriteKubeconfig(kubeconfig); err != nil {
		return nil, err
	}
	s.env, err = environment(kubeconfig, s.cloud.URL())
	return s, err
}

func readInventory() (v1alpha1.Inventory, error) {
	file, err := os.Open(walkthrough)
	if err != nil {
		return v1alpha1.Inventory{}, fmt.Errorf("%w; run the demo from the top of the repository", err)
	}
	defer file.Close()
	return document.ReadInventory(walkthrough, file)
}

// buildPlugin builds the plugin as `make build` does, into build/.
func buildPlugin(ctx context.Context, progress io.Writer) error {
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "build")
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the plugin: %w", err)
	}
	return nil
}

// environment is what a user's shell would have: the plugin on the PATH, a kubeconfig, AWS credentials. The demo's
// own settings for AWS and Kubernetes are not passed on.
func environment(kubeconfig, ec2 string) ([]string, error) {
	build, err := filepath.Abs("build")
	if err != nil {
		return nil, err
	}
	env := []string{
		"PATH=" + build + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + filepath.Dir(kubeconfig),
		"KUBECONFIG=" + kubeconfig,
		"AWS_ENDPOINT_URL=" + ec2,
		"AWS_ACCESS_KEY_ID=demo",
		"AWS_SECRET_ACCESS_KEY=demo",
		"AWS_EC2_METADATA_DISABLED=true",
	}
	for _, name := range []string{"TERM", "LANG", "LC_ALL", "COLUMNS", "NO_COLOR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env, nil
}

// close stops and removes everything.
func (s *stage) close() error {
	var errs []error
	if s.cloud != nil {
		s.cloud.Close()
	}
	if s.plane != nil {
		errs = append(errs, s.plane.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

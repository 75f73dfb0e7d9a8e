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

	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

const (
	ec2Nodes   = 1000
	ec2Samples = 3
)

// measureEC2 counts the calls that the plugin needs for the plan of a large cluster, and how many of them EC2 refuses
// while it throttles as AWS does.
func measureEC2(ctx context.Context, progress io.Writer) (rows []row, err error) {
	inventory := plantest.Inventory(plantest.Uniform(ec2Nodes, plantest.DualStack()))
	plane, err := controlplane.Start(ctx, controlplane.Options{
		CRDs: [][]byte{controlplane.MultusCRD()}, Objects: controlplane.NodesOf(inventory), Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	plugin, err := buildProgram(ctx, "kubectl-underlay")
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(plugin)
	defer os.RemoveAll(folder)
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := plane.WriteKubeconfig(kubeconfig); err != nil {
		return nil, err
	}
	var made, refused []float64
	for range ec2Samples {
		server, err := ec2sim.New(inventory)
		if err != nil {
			return nil, err
		}
		server.Throttle()
		err = export(ctx, plugin, kubeconfig, server.URL())
		server.Close()
		if err != nil {
			return nil, err
		}
		throttled := 0
		for _, call := range server.Calls() {
			if call.Error == ec2sim.RequestLimitExceeded().Code {
				throttled++
			}
		}
		made, refused = append(made, float64(len(server.Calls()))), append(refused, float64(throttled))
		fmt.Fprintf(progress, "  %v\n", server.Counts())
	}
	return []row{
		newRow("ec2-calls-1000-nodes", "calls", made),
		newRow("ec2-throttled-1000-nodes", "calls", refused),
	}, nil
}

func export(ctx context.Context, plugin, kubeconfig, endpoint string) error {
	cmd := exec.CommandContext(ctx, plugin, "init", "--no-operator", "--export", "-o", "json")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(kubeconfig), "KUBECONFIG=" + kubeconfig, "AWS_ENDPOINT_URL=" + endpoint,
		"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_EC2_METADATA_DISABLED=true",
	}
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

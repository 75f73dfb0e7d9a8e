// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// planOnce makes this program plan once, and print what it took. Each sample is a process of its own: so memory is what
// the system gave it, and no sample finds a heap that an earlier one has grown.
const planOnce = "plan-once"

const planPairs = 11

// planSample is what one process took.
type planSample struct {
	// Seconds of plan.For.
	Seconds float64 `json:"seconds"`
	// MiB is the peak of the resident set of the whole process: runtime, inventory and plan.
	MiB float64 `json:"-"`
}

func measurePlan(ctx context.Context, progress io.Writer) ([]row, error) {
	var large, memory, growth []float64
	for i := range planPairs {
		small, err := samplePlan(ctx, 1000)
		if err != nil {
			return nil, err
		}
		big, err := samplePlan(ctx, 5000)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "  pair %d of %d: 1,000 nodes %.3f s, 5,000 nodes %.3f s, %.0f MiB\n", i+1, planPairs, small.Seconds,
			big.Seconds, big.MiB)
		large, memory, growth = append(large, big.Seconds), append(memory, big.MiB), append(growth, big.Seconds/small.Seconds)
	}
	return []row{
		newRow("plan-5000-nodes", "s", 2, large),
		newRow("plan-5000-nodes-memory", "MiB", 500, memory),
		newRow("plan-growth-1000-to-5000", "ratio of times", 6, growth),
	}, nil
}

// samplePlan runs this program anew.
func samplePlan(ctx context.Context, nodes int) (planSample, error) {
	self, err := os.Executable()
	if err != nil {
		return planSample{}, err
	}
	cmd := exec.CommandContext(ctx, self, planOnce, strconv.Itoa(nodes))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return planSample{}, fmt.Errorf("plan %d nodes: %w", nodes, err)
	}
	var s planSample
	if err := json.Unmarshal(out, &s); err != nil {
		return planSample{}, fmt.Errorf("plan %d nodes: %w", nodes, err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return planSample{}, fmt.Errorf("this system does not say how much memory a process had")
	}
	bytes := float64(usage.Maxrss)
	if runtime.GOOS == "linux" { // which counts in KiB
		bytes *= 1024
	}
	s.MiB = bytes / (1 << 20)
	return s, nil
}

func printPlanSample(arg string) error {
	nodes, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	inv := plantest.Inventory(plantest.Uniform(nodes, plantest.DualStack()))
	runtime.GC()
	start := time.Now()
	p, findings := plan.For(plan.Inputs{Inventory: inv, Propose: true})
	took := time.Since(start)
	if len(p.Pools) != 4*nodes || len(findings) > 0 {
		return fmt.Errorf("%d nodes gave %d pools and %d findings; wanted %d and none", nodes, len(p.Pools), len(findings), 4*nodes)
	}
	return json.NewEncoder(os.Stdout).Encode(planSample{Seconds: took.Seconds()})
}

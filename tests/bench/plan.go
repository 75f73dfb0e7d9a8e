// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// planOnly makes this program plan for a number of nodes, a number of times, and print what it took. Each sample is a
// process of its own: so memory is what the system gave it, and no sample finds a heap that an earlier one has grown.
const planOnly = "plan-only"

const (
	planPairs = 11
	// growthRuns of each size, of which the fastest counts: the ratio of two short times would else be that of the
	// machine's other work.
	growthRuns = 10
)

// planSample is what one process took.
type planSample struct {
	// Seconds of plan.For, of the fastest run.
	Seconds float64 `json:"seconds"`
	// MiB is the peak of the resident set of the whole process: runtime, inventory and plan.
	MiB float64 `json:"-"`
}

func measurePlan(ctx context.Context, progress io.Writer) ([]row, error) {
	var large, memory, growth []float64
	for i := range planPairs {
		var err error
		sample := func(nodes, runs int) planSample {
			if err != nil {
				return planSample{}
			}
			var s planSample
			s, err = samplePlan(ctx, nodes, runs)
			return s
		}
		first := sample(5000, 1)
		small, big := sample(1000, growthRuns), sample(5000, growthRuns)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "  %d of %d: 5,000 nodes %.3f s, %.0f MiB; at best %.3f s, and 1,000 nodes %.3f s\n", i+1, planPairs,
			first.Seconds, first.MiB, big.Seconds, small.Seconds)
		large, memory, growth = append(large, first.Seconds), append(memory, first.MiB), append(growth, big.Seconds/small.Seconds)
	}
	return []row{
		newRow("plan-5000-nodes", "s", large),
		newRow("plan-5000-nodes-memory", "MiB", memory),
		newRow("plan-growth-1000-to-5000", "ratio of times", growth),
	}, nil
}

// samplePlan runs this program anew.
func samplePlan(ctx context.Context, nodes, runs int) (planSample, error) {
	self, err := os.Executable()
	if err != nil {
		return planSample{}, err
	}
	cmd := exec.CommandContext(ctx, self, planOnly, strconv.Itoa(nodes), strconv.Itoa(runs))
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

func printPlanSample(nodesArg, runsArg string) error {
	nodes, err := strconv.Atoi(nodesArg)
	if err != nil {
		return err
	}
	runs, err := strconv.Atoi(runsArg)
	if err != nil {
		return err
	}
	inv := plantest.Inventory(plantest.Uniform(nodes, plantest.DualStack()))
	fastest := time.Duration(math.MaxInt64)
	for range runs {
		runtime.GC()
		start := time.Now()
		p, findings := plan.For(plan.Inputs{Inventory: inv, Propose: true})
		fastest = min(fastest, time.Since(start))
		if len(p.Pools) != 4*nodes || len(findings) > 0 {
			return fmt.Errorf("%d nodes gave %d pools and %d findings; wanted %d and none", nodes, len(p.Pools), len(findings), 4*nodes)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(planSample{Seconds: fastest.Seconds()})
}

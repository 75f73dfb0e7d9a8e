// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the project promises to be fast or small. Each area writes build/bench/<area>.json, a list
// of rows, and all rows are printed as a table. Run it by `make bench`, or `go run ./tests/bench AREA…` for some areas.
//
// What is compared with a peer is measured in one run, pair by pair, so that a busy machine slows both. Figures are
// medians; whoever judges them has all samples.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

// area is a group of rows that are measured together.
type area struct {
	name    string
	measure func(ctx context.Context, progress io.Writer) ([]row, error)
}

func areas() []area {
	return []area{
		{"plan", measurePlan},
		{"plugin", measurePlugin},
		{"ec2", measureEC2},
		{"operator", measureOperator},
		{"cni", measureCNI},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 3 && args[0] == planOnly {
		return printPlanSample(args[1], args[2])
	}
	root, err := pinned.Root()
	if err != nil {
		return err
	}
	folder := filepath.Join(root, "build", "bench")
	var all []row
	for _, a := range areas() {
		if len(args) > 0 && !slices.Contains(args, a.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s\n", a.name)
		rows, err := a.measure(ctx, os.Stderr)
		if err != nil {
			return fmt.Errorf("area %s: %w", a.name, err)
		}
		if err := writeRows(filepath.Join(folder, a.name+".json"), rows); err != nil {
			return err
		}
		all = append(all, rows...)
	}
	if len(all) == 0 {
		return fmt.Errorf("no such area: %v", args)
	}
	return printTable(os.Stdout, all)
}

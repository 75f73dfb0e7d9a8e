// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the project promises to be fast or small. Each area writes build/bench/<area>.json, a list
// of rows, and all rows are printed as a table. Run it by `make bench`, or `go run ./tests/bench AREA…` for some areas.
//
// "-table" puts the figures of build/bench into docs/benchmarks.md.
//
// What is compared with a peer is measured in one run, pair by pair, so that a busy machine slows both. Figures are
// medians; whoever judges them has all samples.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

// area is a group of rows that are measured together.
type area struct {
	name string
	// measure calls report with rows as it has them.
	measure func(ctx context.Context, progress io.Writer, report report) error
}

// report takes rows that are measured.
type report func(rows ...row) error

// atOnce is for areas that have all rows at their end.
func atOnce(measure func(ctx context.Context, progress io.Writer) ([]row, error)) func(context.Context, io.Writer, report) error {
	return func(ctx context.Context, progress io.Writer, report report) error {
		rows, err := measure(ctx, progress)
		if err != nil {
			return err
		}
		return report(rows...)
	}
}

func areas() []area {
	return []area{
		{"plan", atOnce(measurePlan)},
		{"plugin", atOnce(measurePlugin)},
		{"ec2", atOnce(measureEC2)},
		{"operator", atOnce(measureOperator)},
		{"agent", atOnce(measureAgent)},
		{"cni", measureCNI},
		{"pods", atOnce(measurePods)},
	}
}

func main() {
	log.SetLogger(logr.Discard()) // else controller-runtime complains
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
	if len(args) == 1 && args[0] == "-table" {
		return fillIn(filepath.Join(root, "docs", "benchmarks.md"), folder)
	}
	chosen := slices.DeleteFunc(areas(), func(a area) bool { return len(args) > 0 && !slices.Contains(args, a.name) })
	if len(chosen) == 0 {
		return fmt.Errorf("no such area: %v", args)
	}
	all, err := measureAll(ctx, os.Stderr, folder, chosen)
	if printed := printTable(os.Stdout, all); printed != nil {
		return printed
	}
	if names := missing(all); len(args) == 0 && len(names) > 0 {
		fmt.Fprintf(os.Stderr, "not measured: %s\n", strings.Join(names, ", "))
	}
	return err
}

// measureAll measures areas, whatever becomes of the others, and says how long each took.
func measureAll(ctx context.Context, progress io.Writer, folder string, chosen []area) (all []row, failed error) {
	for _, a := range chosen {
		begun := time.Now()
		fmt.Fprintf(progress, "measuring %s\n", a.name)
		rows, err := measureInto(ctx, folder, a)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("area %s: %w", a.name, err))
		}
		all = append(all, rows...)
		fmt.Fprintf(progress, "%s took %s\n", a.name, time.Since(begun).Round(time.Second))
		if ctx.Err() != nil {
			break
		}
	}
	return all, failed
}

// measureInto measures an area, and writes each row when it is there: those that it has had before it failed are good.
func measureInto(ctx context.Context, folder string, a area) ([]row, error) {
	var rows []row
	begun, before := time.Now(), loadAverage()
	err := a.measure(ctx, os.Stderr, func(more ...row) error {
		rows = append(rows, more...)
		return writeRows(filepath.Join(folder, a.name+".json"), rows)
	})
	if len(rows) == 0 {
		return nil, err
	}
	return rows, errors.Join(err, noteConditions(folder, a.name, begun, before))
}

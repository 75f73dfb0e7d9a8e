// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Of the CNI's rows.
const (
	cniPairs  = "20"
	cniMemory = 2048 // MiB: the peers' and our state, programs and namespaces are all in memory
	cniStage  = "/stage"
	cniProbe  = "cniprobe"
)

// measureCNI runs tests/bench/cniprobe in a virtual machine; see there what it does.
func measureCNI(ctx context.Context, progress io.Writer) (rows []row, err error) {
	stage, err := stageCNI(ctx, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	program, err := os.Stat(filepath.Join(stage, "programs", "underlay"))
	if err != nil {
		return nil, err
	}
	kit, err := vm.Setup(ctx, progress)
	if err != nil {
		return nil, err
	}
	machine, err := vm.Boot(ctx, kit, vm.Config{MemoryMiB: cniMemory, Shares: []vm.Share{{Host: stage, Guest: cniStage}}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	reader, writer := io.Pipe()
	go func() {
		writer.CloseWithError(machine.Run(ctx, vm.Command{
			Args:   []string{filepath.Join(cniStage, cniProbe), "-programs=" + filepath.Join(cniStage, "programs"), "-pairs=" + cniPairs},
			Output: writer,
		}))
	}()
	if rows, err = cniRows(reader, progress); err != nil {
		return nil, err
	}
	growth, err := ipamGrowth(rows)
	return append(rows, growth, newRow("cni-binary-size", "MB", 8, []float64{float64(program.Size()) / 1e6})), err
}

// stageCNI makes a folder of the programs that the machine needs.
func stageCNI(ctx context.Context, progress io.Writer) (string, error) {
	root, err := pinned.Root()
	if err != nil {
		return "", err
	}
	peers := []string{"ipvlan", "ptp", "host-local"}
	built, err := cluster.Programs().Build(ctx, progress, peers...)
	if err != nil {
		return "", err
	}
	stage, err := os.MkdirTemp("", "bench-cni-")
	if err != nil {
		return "", err
	}
	err = vm.Compile(ctx, root, "build", "-ldflags=-s -w", "-o", filepath.Join(stage, cniProbe), "./tests/bench/cniprobe")
	// As a release builds it.
	err = errors.Join(err, vm.Compile(ctx, root, "build", "-ldflags=-s -w -X main.version=v0.0.0", "-o", filepath.Join(stage, "programs", "underlay"), "./cmd/underlay"))
	// The only one of another module, whose programs are at the same version.
	err = errors.Join(err, vm.Compile(ctx, filepath.Join(root, "tests", "cluster", "binaries"), "build", "-ldflags=-s -w", "-o", filepath.Join(stage, "programs", "hostlocal"), "./hostlocal"))
	for _, name := range peers {
		content, readErr := os.ReadFile(filepath.Join(built, name))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(stage, "programs", name), content, 0o755))
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(stage))
	}
	return stage, nil
}

// cniRows makes rows of what the probe prints, as it does.
func cniRows(lines io.Reader, progress io.Writer) ([]row, error) {
	var rows []row
	var complaints []string
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		var s struct {
			Name       string
			Ours, Peer []float64
		}
		if json.Unmarshal(scanner.Bytes(), &s) != nil {
			complaints = append(complaints, scanner.Text())
			continue
		}
		fmt.Fprintf(progress, "  %s: %d pairs\n", s.Name, len(s.Ours))
		const both = "ipvlan and host-local v1.9.1"
		switch s.Name {
		case "cni-start":
			rows = append(rows, newComparison(s.Name, "ms", "ipvlan v1.9.1", 1.3, s.Ours, s.Peer))
		case "cni-add-del-ipv4", "cni-add-del-dual":
			rows = append(rows, newComparison(s.Name+"-p50", "ms", both, 0.6, s.Ours, s.Peer), atPercentile(newComparison(s.Name+"-p99", "ms", both, 0.6, s.Ours, s.Peer), 99))
		case "cni-add-del-hostleg":
			rows = append(rows, newComparison(s.Name+"-p50", "ms", "ipvlan and ptp, host-local each, v1.9.1", 0.6, s.Ours, s.Peer))
		case "cni-add-100-parallel":
			rows = append(rows, newComparison(s.Name, "s", both, 0.5, s.Ours, s.Peer))
		case "ipam-16": // there is no goal besides that it is no slower than at 60,000
			rows = append(rows, newComparison(s.Name, "µs", "host-local's disk backend v1.9.1", math.Inf(1), s.Ours, s.Peer))
		case "ipam-1000", "ipam-60000", "ipam-v6-80":
			rows = append(rows, newComparison(s.Name, "µs", "host-local's disk backend v1.9.1", 1, s.Ours, s.Peer))
		default:
			return nil, fmt.Errorf("%s printed the unknown series %s", cniProbe, s.Name)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, strings.Join(complaints, "\n"))
	}
	return rows, nil
}

// ipamGrowth is by how much a pool of 60,000 addresses is slower than one of 16.
func ipamGrowth(rows []row) (row, error) {
	of := func(name string) int { return slices.IndexFunc(rows, func(r row) bool { return r.Name == name }) }
	small, large := of("ipam-16"), of("ipam-60000")
	if small < 0 || large < 0 {
		return row{}, fmt.Errorf("%s did not measure pools of 16 and 60,000 addresses", cniProbe)
	}
	return newRow("ipam-growth-16-to-60000", "ratio of times", 1.5, []float64{rows[large].Ours / rows[small].Ours}), nil
}

// atPercentile makes a comparison one of percentiles instead of medians.
func atPercentile(r row, percent int) row {
	of := func(values []float64) float64 {
		sorted := slices.Sorted(slices.Values(values))
		return sorted[(len(sorted)*percent+99)/100-1]
	}
	theirs := of(r.Samples.Peer)
	r.Ours, r.Peer = of(r.Samples.Ours), &theirs
	ratio := r.Ours / theirs
	r.Ratio = &ratio
	return r
}

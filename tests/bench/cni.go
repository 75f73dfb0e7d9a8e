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
	"os"
	"path/filepath"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Of the CNI's rows.
const (
	cniPairs  = "100"
	cniMemory = 2048 // MiB: the peers' and our state, programs and namespaces are all in memory
	cniStage  = "/stage"
	cniProbe  = "cniprobe"
	// smallPages is how the CNI is linked: a short process pays for the zeroing of huge pages, and never uses them.
	smallPages = "-X runtime.godebugDefault=disablethp=1"
)

// measureCNI runs tests/bench/cniprobe in a virtual machine; see there what it does.
func measureCNI(ctx context.Context, progress io.Writer, report report) (err error) {
	stage, err := stageCNI(ctx, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	program, err := os.Stat(filepath.Join(stage, "programs", "underlay"))
	if err != nil {
		return err
	}
	if err := report(newRow("cni-binary-size", "MB", []float64{float64(program.Size()) / 1e6})); err != nil {
		return err
	}
	kit, err := vm.Setup(ctx, progress)
	if err != nil {
		return err
	}
	machine, err := vm.Boot(ctx, kit, vm.Config{MemoryMiB: cniMemory, Shares: []vm.Share{{Host: stage, Guest: cniStage}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	reader, writer := io.Pipe()
	go func() {
		writer.CloseWithError(machine.Run(ctx, vm.Command{
			Args:   []string{filepath.Join(cniStage, cniProbe), "-programs=" + filepath.Join(cniStage, "programs"), "-pairs=" + cniPairs},
			Output: writer,
		}))
	}()
	return cniRows(reader, progress, report)
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
	err = errors.Join(err, vm.Compile(ctx, root, "build", "-ldflags=-s -w "+smallPages, "-o", filepath.Join(stage, "programs", "cnifloor"), "./tests/bench/cnifloor"))
	// As a release builds it; see internal/tools/image.
	err = errors.Join(err, vm.Compile(ctx, root, "build", "-ldflags=-s -w -X main.version=v0.0.0 "+smallPages, "-o", filepath.Join(stage, "programs", "underlay"), "./cmd/underlay"))
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

// series is what the probe measured under one name; samples of one index are a pair.
type series struct {
	Name       string
	Ours, Peer []float64
}

// cniRows makes rows of what the probe prints, as it does.
func cniRows(lines io.Reader, progress io.Writer, report report) error {
	var complaints []string
	grown := false // the last series has come
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var s series
		if json.Unmarshal(scanner.Bytes(), &s) != nil {
			complaints = append(complaints, scanner.Text())
			continue
		}
		fmt.Fprintf(progress, "  %s: %d pairs\n", s.Name, len(s.Ours))
		grown = grown || s.Name == "ipam-growth"
		rows, err := s.rows()
		if err == nil {
			err = report(rows...)
		}
		if err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(complaints, "\n"))
	}
	if !grown {
		return fmt.Errorf("%s did not come to its end: %s", cniProbe, strings.Join(complaints, "\n"))
	}
	return nil
}

func (s series) rows() ([]row, error) {
	const (
		both = "ipvlan and host-local v1.9.1"
		legs = "ipvlan and ptp, host-local each, v1.9.1"
	)
	switch s.Name {
	case "cni-start":
		return []row{newComparison(s.Name, "ms", "ipvlan v1.9.1", s.Ours, s.Peer)}, nil
	case "cni-add-del-ipv4", "cni-add-del-dual":
		return []row{newComparison(s.Name+"-p50", "ms", both, s.Ours, s.Peer), newPercentiles(s.Name+"-p99", "ms", both, 99, s.Ours, s.Peer)}, nil
	case "cni-add-del-hostleg":
		return []row{newComparison(s.Name+"-p50", "ms", legs, s.Ours, s.Peer)}, nil
	case "cni-floor":
		return []row{newComparison(s.Name, "ms", "the same netlink calls alone", s.Ours, s.Peer)}, nil
	case "cni-add-100-parallel":
		return []row{newComparison(s.Name, "s", both, s.Ours, s.Peer)}, nil
	case "ipam-16", "ipam-1000", "ipam-60000", "ipam-v6-80":
		return []row{newComparison(s.Name, "µs", "host-local's disk backend v1.9.1", s.Ours, s.Peer)}, nil
	case "ipam-growth":
		ratios := make([]float64, len(s.Ours))
		for i := range ratios {
			ratios[i] = s.Ours[i] / s.Peer[i]
		}
		return []row{newRow("ipam-growth-16-to-60000", "ratio of times", ratios)}, nil
	}
	return nil, fmt.Errorf("%s printed the unknown series %s", cniProbe, s.Name)
}

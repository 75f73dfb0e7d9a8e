// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command run keeps a cluster to play with:
//
//	run up      starts one, which a process of its own keeps, and says how to use it
//	run down    ends it; nothing is left
//	run build   builds what clusters need, ahead of tests
//
// What belongs to the cluster is in build/cluster; whoever keeps it holds the lock there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := pinned.Root()
	if err != nil {
		return err
	}
	s := state{folder: filepath.Join(root, "build", "cluster")}
	if len(args) != 1 {
		return fmt.Errorf("say up, down or build")
	}
	switch args[0] {
	case "up":
		return up(ctx, s)
	case "down":
		return down(ctx, s)
	case "build":
		return cluster.Build(ctx, os.Stderr)
	case keepCommand:
		return keep(ctx, s)
	}
	return fmt.Errorf("no command %q: say up, down or build", args[0])
}

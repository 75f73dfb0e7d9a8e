// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command build builds the programs of the tests' control plane ahead of the tests and prints the folder that holds
// them. Names given as arguments choose other programs than etcd, kube-apiserver and kubectl.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(names []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(names) == 0 {
		names = []string{"etcd", "kube-apiserver", "kubectl"}
	}
	dir, err := controlplane.Programs().Build(ctx, os.Stderr, names...)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job on real parts: a two-node Kubernetes cluster of virtual machines on a simulated VPC, the
// EC2 simulator, and the plugin as kubectl runs it, which installs operator, agents and CNI; then an application runs and
// its pods reach each other. Nodes and interfaces are those of docs/examples/walkthrough.yaml. Where virtual machines
// cannot be had, an API server alone takes the cluster's place, and no pods run. It prints each command before its output,
// and leaves nothing running.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func main() {
	keep := flag.Bool("keep", false, "leave cluster and EC2 simulator running until interrupted")
	flag.Parse()
	log.SetLogger(logr.Discard()) // what goes wrong comes back as an error
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, keep bool) (err error) {
	began := time.Now()
	fmt.Fprintln(out, "Preparing: a cluster of two virtual machines, a simulated EC2, the plugin and its image.\n"+
		"The first time builds all of them, Kubernetes too, which takes some minutes.")
	s, err := setUp(ctx, out, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	fmt.Fprintf(out, "Ready after %s: %s.\n", since(began), s.ready)
	if err := s.show(ctx, out, s.steps); err != nil {
		return err
	}
	if s.traffic != nil {
		steps, err := s.traffic(ctx, s)
		if err != nil {
			return err
		}
		if err := s.show(ctx, out, steps); err != nil {
			return err
		}
	}
	if keep {
		s.wait(ctx, out)
		return nil
	}
	fmt.Fprintf(out, `
Done in %s; everything was stopped and removed. To keep it and play: make demo KEEP=1. Without cluster and cloud:
  export PATH="$PWD/build:$PATH"
  kubectl underlay pools --inventory %[2]s -o wide
  kubectl underlay init --inventory %[2]s --export
  kubectl underlay init --inventory %[2]s --for spiderpool --export
`, since(began), walkthrough)
	return nil
}

func since(began time.Time) time.Duration { return time.Since(began).Round(time.Second) }

// setUp sets the stage: a whole cluster, or what comes closest where that cannot be had.
func setUp(ctx context.Context, out, progress io.Writer) (*stage, error) {
	whole := &stage{}
	err := whole.onCluster(ctx, progress)
	if err == nil {
		return whole, nil
	}
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), whole.close())
	}
	fmt.Fprintf(out, "\nNo cluster of virtual machines here: %v\nThe demo goes on with an API server alone: pools and attachments are made, "+
		"and no pods run.\n\n", err)
	if err := whole.close(); err != nil {
		return nil, err
	}
	part := &stage{}
	if err := part.onAPIServer(ctx, progress); err != nil {
		return nil, errors.Join(err, part.close())
	}
	return part, nil
}

// show runs steps, each command before its output.
func (s *stage) show(ctx context.Context, out io.Writer, steps []step) error {
	for _, step := range steps {
		if step.says != "" {
			fmt.Fprintf(out, "\n# %s\n", step.says)
		}
		fmt.Fprintf(out, "$ %s\n", step.command)
		if err := s.shell(ctx, out, step.command); err != nil {
			return fmt.Errorf("%s: %w", step.command, err)
		}
	}
	return nil
}

// wait says how to reach the stage from another terminal, and waits for an interrupt.
func (s *stage) wait(ctx context.Context, out io.Writer) {
	fmt.Fprint(out, "\nRunning until Ctrl-C. In another terminal:\n")
	for _, setting := range s.env {
		name, value, _ := strings.Cut(setting, "=")
		switch {
		case name == "PATH":
			ours := filepath.SplitList(value)[:2] // plugin and kubectl
			fmt.Fprintf(out, "  export PATH=%s:$PATH\n", strings.Join(ours, ":"))
		case name == "KUBECONFIG", strings.HasPrefix(name, "AWS_"):
			fmt.Fprintf(out, "  export %s\n", setting)
		}
	}
	<-ctx.Done()
}

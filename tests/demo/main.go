// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the main job on real parts: etcd and kube-apiserver, the EC2 simulator, and the plugin as kubectl
// runs it, which talks to both as it would to a cluster on AWS. It starts everything on loopback with the nodes and
// interfaces of docs/examples/walkthrough.yaml, prints each command before its output, and leaves nothing running.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const walkthrough = "docs/examples/walkthrough.yaml"

func main() {
	keep := flag.Bool("keep", false, "leave API server and EC2 simulator running until interrupted")
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

// step is one command of the demo.
type step struct {
	says    string
	command string
}

func steps() []step {
	return []step{
		{"What do nodes and cloud have?", "kubectl underlay inspect"},
		{"Is anything in the way?", "kubectl underlay check"},
		{"Plan networks, pools and attachments, show the difference, apply it.", "kubectl underlay init --no-operator --yes"},
		{"The pools, as the API server holds them now.", "kubectl underlay pools"},
		{"Once more: nothing is left to change.", "kubectl underlay init --no-operator --yes"},
	}
}

func run(ctx context.Context, out io.Writer, keep bool) (err error) {
	began := time.Now()
	say(out, "Preparing: API server, EC2 simulator and plugin. The first time builds them, which takes some minutes.")
	stage, err := setUp(ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close()) }()
	say(out, fmt.Sprintf("Ready after %s: an empty cluster of two nodes, and their instances in a simulated EC2.", time.Since(began).Round(time.Second)))
	for _, s := range steps() {
		fmt.Fprintf(out, "\n# %s\n$ %s\n", s.says, s.command)
		if err := stage.shell(ctx, out, s.command); err != nil {
			return fmt.Errorf("%s: %w", s.command, err)
		}
	}
	if keep {
		stage.wait(ctx, out)
		return nil
	}
	fmt.Fprintf(out, `
Done in %s; everything was stopped and removed. What to try next, without cluster and cloud:
  export PATH="$PWD/build:$PATH"
  kubectl underlay pools --inventory %[2]s -o wide
  kubectl underlay init --no-operator --inventory %[2]s --export
  kubectl underlay init --no-operator --inventory %[2]s --for spiderpool --export
`, time.Since(began).Round(time.Second), walkthrough)
	return nil
}

// wait says how to reach the stage from another terminal, and waits for an interrupt.
func (s *stage) wait(ctx context.Context, out io.Writer) {
	fmt.Fprint(out, "\nRunning until Ctrl-C. In another terminal:\n")
	for _, setting := range s.env {
		name, value, _ := strings.Cut(setting, "=")
		switch {
		case name == "PATH":
			fmt.Fprintf(out, "  export PATH=%s:$PATH\n", filepath.SplitList(value)[0])
		case name == "KUBECONFIG", strings.HasPrefix(name, "AWS_"):
			fmt.Fprintf(out, "  export %s\n", setting)
		}
	}
	<-ctx.Done()
}

func say(out io.Writer, line string) { fmt.Fprintln(out, line) }

// shell runs a command line of the demo with the stage's environment.
func (s *stage) shell(ctx context.Context, out io.Writer, line string) error {
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, filepath.Join(s.binaries, words[0]), words[1:]...)
	cmd.Env = s.env
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}

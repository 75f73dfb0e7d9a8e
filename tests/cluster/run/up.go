// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
)

// keepCommand is how up starts itself in the background.
const keepCommand = "keep"

// downTimeout is how long a cluster may take to end; it takes a second.
const downTimeout = time.Minute

// up starts a process that keeps a cluster, and shows its progress until the cluster is up.
func up(ctx context.Context, s state) error {
	switch keeper, err := s.keeper(); {
	case err != nil:
		return err
	case keeper != nil:
		return printUsage(s, "A cluster is up already.\n")
	}
	if err := cluster.Build(ctx, os.Stderr); err != nil { // here, where an interrupt ends it
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	progress, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer progress.Close()
	log, err := os.Create(s.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	keeper := exec.CommandContext(context.WithoutCancel(ctx), self, keepCommand)
	keeper.Stdout, keeper.Stderr = log, log
	keeper.ExtraFiles = []*os.File{theirs}
	keeper.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's end is not its own
	err = keeper.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("start the process that keeps the cluster: %w", err)
	}
	stopped := context.AfterFunc(ctx, func() { _ = keeper.Process.Signal(syscall.SIGTERM) }) // its end shows below
	defer stopped()
	if _, err := io.Copy(os.Stderr, progress); err != nil {
		return err
	}
	return printUsage(s, "")
}

func printUsage(s state, first string) error {
	usage, err := s.usage()
	if err != nil {
		return err
	}
	if usage == "" {
		return errors.New("the cluster did not come up, or is still coming up")
	}
	fmt.Print(first, usage)
	return nil
}

// keep starts a cluster and keeps it until it is told to end. Descriptor 3 hears how far it is, and is closed when the
// cluster is up.
func keep(ctx context.Context, s state) error {
	const descriptor = 3
	syscall.CloseOnExec(descriptor) // or the control plane would keep it open
	progress := os.NewFile(descriptor, "progress")
	if err := keepUntilDone(ctx, s, progress); err != nil {
		fmt.Fprintln(progress, err)
		return err
	}
	return nil
}

func keepUntilDone(ctx context.Context, s state, progress *os.File) (err error) {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	if lock == nil {
		return errors.New("another process keeps a cluster")
	}
	defer lock.Close()
	s.clear() // what a process that was killed has left
	defer s.clear()
	if err := os.WriteFile(s.path("pid"), fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Options{Progress: progress})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	kubeconfig, err := c.Kubeconfig()
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("kubeconfig"), kubeconfig, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(s.path("usage"), []byte(usage(s, c)), 0o644); err != nil {
		return err
	}
	if err := progress.Close(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func usage(s state, c *cluster.Cluster) string {
	region := strings.TrimRight(c.Inventory().Subnets[0].Zone, "abcdef")
	return fmt.Sprintf(`The cluster is up until "make cluster-down". In your shell:

  export KUBECONFIG=%s
  export PATH=%s:$PATH    # kubectl
  export AWS_ENDPOINT_URL_EC2=%s AWS_REGION=%s
  export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test

Nodes and pods reach EC2 at %s.
`, s.path("kubeconfig"), c.Bin, c.EC2.URL(), region, c.EC2URL)
}

// down ends the cluster and waits until nothing is left of it.
func down(ctx context.Context, s state) error {
	keeper, err := s.keeper()
	if err != nil {
		return err
	}
	if keeper == nil {
		s.clear()
		fmt.Println("No cluster is up.")
		return nil
	}
	if err := keeper.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the cluster: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, downTimeout, fmt.Errorf("process %d still keeps it after %s", keeper.Pid, downTimeout))
	defer cancel()
	for {
		free, err := s.lock()
		if err != nil {
			return err
		}
		if free != nil {
			fmt.Println("The cluster is gone.")
			return free.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("end the cluster: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

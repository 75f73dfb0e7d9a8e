// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-underlay is the plugin: kubectl runs it as `kubectl underlay`.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/plugin"
)

// Set by the linker when a release is built.
var (
	version = "dev"
	commit  = ""
	date    = ""
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Libraries below log what the plugin's errors say already.
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	code := plugin.Execute(ctx, plugin.Environment{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Version: plugin.Version{
			Version: version, Commit: commit, Date: date,
			Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		},
		NewProvider: func(a plugin.Account) cloud.Provider {
			return aws.New(aws.Options{Region: a.Region, RoleARN: a.RoleARN})
		},
		Getenv: os.Getenv,
	}, os.Args[1:])
	os.Exit(code) //nolint:gocritic // nothing is left to stop once Execute has returned
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command underlay-operator keeps pools and attachments true to networks and cloud. See package operator.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/operator"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "underlay-operator:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var options operator.Options
	flags := flag.NewFlagSet("underlay-operator", flag.ExitOnError)
	region := flags.String("region", "", "AWS region; by default from the environment, else from the nodes' zones")
	role := flags.String("role-arn", os.Getenv("UNDERLAY_ROLE_ARN"), "AWS role to take, for nodes of another account (environment: UNDERLAY_ROLE_ARN)")
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig file; by default the pod's own service account")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.DurationVar(&options.Refresh, "refresh", 0, "period of cloud snapshots (default 1m0s)")
	flags.StringVar(&options.HealthAddress, "health-address", "127.0.0.1:9440", "serve /healthz and /readyz here; 0: do not")
	flags.StringVar(&options.MetricsAddress, "metrics-address", "0", "serve Prometheus' /metrics here; 0: do not")
	flags.StringVar(&options.Namespace, "namespace", "underlay-system", "namespace of the leader's lease")
	_ = flags.Parse(os.Args[1:]) // exits by itself
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	if options.Refresh < 0 {
		return fmt.Errorf("--refresh=%s is not allowed; use a period such as 1m", options.Refresh)
	}
	if *showVersion {
		fmt.Println("underlay-operator", version)
		return nil
	}
	options.Log = logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil))
	log.SetLogger(options.Log)
	klog.SetLogger(options.Log)
	config, err := load(*kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "underlay-operator/" + version
	options.Log.Info("starting", "version", version)
	return operator.Run(ctx, config, aws.New(aws.Options{Region: *region, RoleARN: *role}), options)
}

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("%w; outside a pod give --kubeconfig FILE", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return config, nil
}

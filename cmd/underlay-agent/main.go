// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command underlay-agent runs on each node. See package agent.
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

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/operator/agent"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "underlay-agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	options := agent.Options{Version: version}
	options.Paths.NodeFile, options.Paths.Store = cni.NodeFile, cni.Folder
	flags := flag.NewFlagSet("underlay-agent", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig file; by default the pod's own service account")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.StringVar(&options.NodeName, "node-name", os.Getenv("NODE_NAME"), "name of the Node object; by default NODE_NAME of the environment")
	flags.StringVar(&options.Paths.CNIBin, "cni-bin-dir", "/host/opt/cni/bin", "the host's folder of CNI programs")
	flags.StringVar(&options.Paths.CNIConf, "cni-conf-dir", "/host/etc/cni/net.d", "the host's folder of CNI configurations")
	flags.StringVar(&options.Paths.Sysctl, "sysctl-dir", "/host/proc/sys", "the host's /proc/sys")
	flags.StringVar(&options.Paths.Plugins, "plugins-dir", "/opt/underlay/bin", "the folder with the CNI programs underlay, portmap and loopback")
	flags.StringVar(&options.HealthAddress, "health-address", "127.0.0.1:9441", "serve /healthz and /readyz here; 0: do not")
	flags.StringVar(&options.MetricsAddress, "metrics-address", "0", "serve Prometheus' /metrics here; 0: do not")
	_ = flags.Parse(os.Args[1:]) // exits by itself
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see --help", flags.Arg(0))
	}
	if *showVersion {
		fmt.Println("underlay-agent", version)
		return nil
	}
	handler := slog.NewTextHandler(os.Stderr, nil)
	options.Log = slog.New(handler)
	log.SetLogger(logr.FromSlogHandler(handler))
	klog.SetLogger(logr.FromSlogHandler(handler))
	config, err := load(*kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "underlay-agent/" + version
	options.Log.Info("starting", "version", version, "node", options.NodeName)
	return agent.Run(ctx, config, options)
}

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("%w; outside of a pod give --kubeconfig FILE", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return config, nil
}

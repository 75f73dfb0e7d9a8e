// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"io"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

// Programs returns the programs that binaries/go.mod pins: all of Kubernetes that can be built, and etcd. The versions
// here must be those of binaries/go.mod, as a test asserts. The times are those of a cold build of one after the other.
func Programs() pinned.Module {
	const (
		etcd       = "v3.7.3"
		kubernetes = "v1.37.2"
	)
	program := func(name string, takes time.Duration) pinned.Program {
		return pinned.Program{
			Name:    name,
			Package: "k8s.io/kubernetes/cmd/" + name,
			Version: kubernetes,
			Vars: []string{
				"k8s.io/component-base/version.gitVersion=" + kubernetes,
				"k8s.io/component-base/version.gitMajor=1",
				"k8s.io/component-base/version.gitMinor=37",
				"k8s.io/component-base/version.gitTreeState=clean",
				"k8s.io/client-go/pkg/version.gitVersion=" + kubernetes, // the user agent
			},
			Takes: takes,
		}
	}
	return pinned.Module{
		Dir: "tests/controlplane/binaries",
		Programs: []pinned.Program{
			{Name: "etcd", Package: "go.etcd.io/etcd/server/v3", Version: etcd, Takes: 30 * time.Second},
			program("kube-apiserver", 200*time.Second),
			program("kubectl", 20*time.Second),
			program("kube-controller-manager", 40*time.Second),
			program("kube-scheduler", 10*time.Second),
			program("kubelet", 40*time.Second),
			program("kube-proxy", 10*time.Second),
		},
	}
}

// Binaries returns the folder that holds etcd, kube-apiserver and kubectl, after building those that are missing, which
// takes minutes and is reported to progress (which may be nil). When nothing is missing it takes milliseconds.
func Binaries(ctx context.Context, progress io.Writer) (string, error) {
	return Programs().Build(ctx, progress, "etcd", "kube-apiserver", "kubectl")
}

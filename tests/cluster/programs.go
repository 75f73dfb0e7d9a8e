// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"io"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Programs returns the programs that binaries/go.mod pins: the container runtime, and CNI plugins to compare with. The
// versions here must be those of binaries/go.mod, as a test asserts.
func Programs() pinned.Module {
	runtime := func(name string, takes time.Duration) pinned.Program {
		const version = "v2.4.2"
		return pinned.Program{
			Name: name, Package: "github.com/containerd/containerd/v2/cmd/" + name, Version: version,
			Vars:  []string{"github.com/containerd/containerd/v2/version.Version=" + version},
			Tags:  []string{"no_btrfs", "no_zfs", "no_devmapper"},
			Takes: takes,
		}
	}
	plugin := func(kind, name string) pinned.Program {
		const path = "github.com/containernetworking/plugins/plugins/"
		return pinned.Program{Name: name, Package: path + kind + "/" + name, Version: "v1.9.1", Takes: 5 * time.Second}
	}
	return pinned.Module{
		Dir: "tests/cluster/binaries",
		Programs: []pinned.Program{
			runtime("containerd", 60*time.Second),
			runtime("containerd-shim-runc-v2", 10*time.Second),
			runtime("ctr", 10*time.Second),
			{
				Name: "runc", Package: "github.com/opencontainers/runc", Version: "v1.5.2",
				Tags: []string{"seccomp", "osusergo", "netgo"}, CGO: true, Takes: 20 * time.Second,
			},
			plugin("main", "ipvlan"),
			plugin("main", "loopback"), // which containerd calls for every pod
			plugin("main", "ptp"),
			plugin("meta", "portmap"),
			plugin("ipam", "host-local"),
		},
	}
}

// programs are the folders of what a cluster runs.
type programs struct {
	kubernetes string // etcd, and all of Kubernetes
	runtime    string // containerd, its shim, ctr and runc
}

// Build installs and builds what clusters need, the CNI plugins to compare with aside. Start does it by itself.
func Build(ctx context.Context, progress io.Writer) error {
	_, err := build(ctx, progress)
	return err
}

// build returns the programs, after installing and building what is missing. When nothing is, it takes milliseconds.
func build(ctx context.Context, progress io.Writer) (programs, error) {
	// What runc is compiled with, and what goes into the nodes (see tools).
	packages := []string{"gcc", "libc6-dev", "libseccomp-dev", "pkg-config", "iproute2", "iptables", "mount", "nftables", "util-linux"}
	err := vm.Install(ctx, progress, packages...)
	if err != nil {
		return programs{}, err
	}
	var built programs
	if built.kubernetes, err = controlplane.Programs().Build(ctx, progress); err != nil {
		return programs{}, err
	}
	built.runtime, err = Programs().Build(ctx, progress, "containerd", "containerd-shim-runc-v2", "ctr", "runc")
	return built, err
}

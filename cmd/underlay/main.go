// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command underlay is the CNI plugin: container runtimes run it for each pod. See package cni.
package main

import (
	"os"

	"github.com/underlay-dev/kubectl-underlay/cni"
)

// version is set by the linker.
var version = "dev"

func main() {
	relaxMonitor()
	growStack()
	os.Exit(cni.New().Main("CNI plugin underlay " + version))
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package cluster brings up a real Kubernetes cluster on this machine: etcd and Kubernetes' control plane, and a virtual
// machine per node with containerd, runc, kubelet and kube-proxy. The nodes' network cards are the ENIs of a VPC simulator
// (tests/fabric), and the EC2 simulator (tests/ec2sim) answers for the same inventory: what is assigned there is bound in
// the VPC. No CNI is installed, so the nodes register and stay NotReady until somebody installs one.
//
//	c, err := cluster.Start(ctx, cluster.Options{Progress: os.Stderr})
//	…
//	defer c.Close()
//	client, err := kubernetes.NewForConfig(c.Config)
//	out, err := c.Node("master").Shell(ctx, "ip route")
//
// How it is laid out: the control plane runs in the VPC's router, where nothing touches the host's own network; nodes and
// pods reach it, and the EC2 simulator, at the router's address in the inventory's first subnet; this machine reaches it at
// a port of 127.0.0.1. A node is made of tmpfs and of folders of this machine, shared read-only: the programs, and what
// nodeFiles writes for it. With Options.Disks, what a real node keeps on its disk is on one, and Node.Restart cuts the
// node's power and boots it anew.
//
// Invariants: nothing listens beyond loopback and the simulated VPC; nothing outlives the process, however it ends.
// It needs root.
package cluster

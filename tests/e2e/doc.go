// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the whole product on a real cluster: two nodes that are virtual machines with containerd, kubelet and
// kube-proxy, on a VPC that drops what AWS drops, with a simulated EC2. It does what a user does, by kubectl and the plugin,
// and looks at what a user would look at: pods, pools, packets.
//
//	make e2e
//
// The tests are behind the build tag e2e. They are one list, in order, since each builds on the cluster that the ones before
// it have made; where a step fails on which all others rest, the list ends. What nodes and pods said is in build/e2e/logs when
// a test fails; what the VPC dropped is printed at the end.
package e2e

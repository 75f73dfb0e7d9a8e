// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package host is the agent's hands on the machine it runs on: it installs the CNI programs and the default CNI configuration, brings up interfaces,
// sets sysctls, writes the node file and counts the allocation store; and it says when something of that changes. It takes and gives plain values: it
// knows nothing of Kubernetes.
//
// It imports cni/nodefile, cni/ipam, cni/datapath, netlink and x/sys.
//
// # Invariants
//
//   - Host.Apply may be called again with the same values at any time, and changes nothing then. One part that fails keeps no other from its work.
//   - The order is: programs, settings, links, node file, default CNI configuration. What needs a thing comes after it.
//   - Files are replaced by a rename: who reads or executes the old one is not disturbed, and who opens it anew sees all of the new one.
//   - Of the host's links only those with the MAC of a pool's interface are touched, and of its settings only those that settings.go names.
package host

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package cni is the CNI plugin "underlay": the verbs ADD, DEL, CHECK, GC, STATUS and VERSION of the CNI specification, 0.3.1 to 1.1.0. A verb asks neither the API
// server nor the cloud nor the agent: it reads the node file, takes addresses from the allocation store and makes links by the datapath.
//
// It imports containernetworking/cni, cni/nodefile, cni/ipam and cni/datapath, nothing else beyond the standard library: the binary stays below 8 MB and
// starts in milliseconds.
//
// # Invariants
//
//   - ADD either leaves all (links, addresses, record) or nothing. It takes addresses before it makes links, and gives them back after it has removed
//     the links: an address that a link has is held.
//   - The node file is read, and addresses are taken, under one hold of the store's lock. Links are made and removed without it.
//   - DEL needs the container's id and the interface's name alone: no node file, no namespace, no valid configuration. It may come twice, or without an
//     ADD. It fails only where it could not remove a link or reach the store, and works when repeated.
//   - GC frees no address whose namespace lives, whatever the runtime's list says. STATUS fails only where no pod could start.
//   - Paths are compiled in. The configuration names a network, and cannot name a file.
//
// # Error codes
//
// Besides the specification's: 8 (invalid namespace), 11 (try again later: no address free, store busy, no node file yet), 50 (STATUS: not available), and our own from 101 on:
// see the constants.
package cni

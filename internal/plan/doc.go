// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan computes what should exist in a cluster, from what was observed (an inventory) and what the user wants
// (networks): pools, attachments, and findings about what cannot be.
//
// It is pure: no context, clock or I/O, no client-go, controller-runtime, AWS SDK or netlink; the same input in any
// order gives the same sorted output. The plugin and the operator both call For, so that what `init` shows and what
// the operator does cannot disagree.
//
// Invariants: no address is in two pools; every address in a pool is bound to the pool's interface; a node's pools
// depend on no other node.
package plan

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package operator keeps pools and attachments true to networks and cloud: it observes both, lets the planner think,
// settles what the cloud no longer shows, and writes what differs. It never writes to the cloud (mode Observe).
//
// The shape: one pass lists the whole world from the manager's cache and takes the one cloud snapshot that all share;
// pure functions say what should exist; equal objects are skipped; the rest is applied, some at a time. Passes are
// triggered by events and by snapshots, and are cheap where nothing changed.
//
//	snapshot.go      the cloud's answers, refreshed on a period and when nodes appear
//	world.go         lists the cluster
//	settle.go        pure: what becomes of ranges and pools that the cloud no longer shows
//	overlap.go       pure: which pools are usable
//	pool.go          pools and their status
//	attachment.go    NetworkAttachmentDefinitions, where their CRD is served
//	network.go       status and finalizer of networks; ready.go: what their condition says
//
// It may import neither a cloud's SDK nor cobra nor lipgloss.
//
// Invariants: nothing is written when nothing changed; no range is taken from a pool on one observation, nor before the
// node's agent has reported that no address of it is held; objects that others made are not overwritten, pools of our
// own networks excepted.
//
// What it may do in a cluster is in manifests/base/operator-rbac.yaml; its tests run with these permissions and no others.
package operator

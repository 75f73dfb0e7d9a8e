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
// What it may do in a cluster is these permissions and no others. manifests/base/operator-rbac.yaml grants them, which
// tests/install holds against this list; the operator's own tests run with what is granted there.
//
// Everywhere:
//
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaynetworks,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaynetworks/status,verbs=patch
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaypools,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaypools/status,verbs=patch
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaynodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=k8s.cni.cncf.io,resources=network-attachment-definitions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=servicecidrs,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
//
// In kube-system, to see whether another IPAM runs there (objects aws-node and cilium-config alone):
//
// +kubebuilder:rbac:groups=apps,namespace=kube-system,resources=daemonsets,resourceNames=aws-node,verbs=get
// +kubebuilder:rbac:groups="",namespace=kube-system,resources=configmaps,resourceNames=cilium-config,verbs=get
//
// In the operator's own namespace, for the leader's lease:
//
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=underlay-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=underlay-system,resources=leases,resourceNames=underlay-operator,verbs=get;update
// +kubebuilder:rbac:groups="";events.k8s.io,namespace=underlay-system,resources=events,verbs=create;patch
package operator

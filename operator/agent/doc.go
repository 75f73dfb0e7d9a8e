// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package agent is what runs on each node: it turns the networks and pools of its node into the node file, from which the CNI attaches pods, makes the
// machine fit for that, and reports what it sees as the UnderlayNode of its node. No pod waits for it: ADD and DEL need neither the agent nor the API
// server.
//
// The shape: caches hold the few objects that concern the node; a pure function turns them into a node file (nodefile.go); package host puts it in
// place and says what is then there; a pure function turns that into a status (status.go), which is written when it differs (report.go). Package host
// takes and gives plain values and knows nothing of Kubernetes.
//
// It may import neither a cloud's SDK nor cobra nor lipgloss.
//
// # Invariants
//
//   - The node file is replaced only by one that follows from whole lists of the API server: while these are not there, the file on disk stays, and
//     all else is done after it.
//   - A pool's observedGeneration and drained ranges are reported only after the node file with that generation was in place and its addresses were
//     counted, both under one hold of the store's lock: no ADD behind that hands out a range that was reported as drained.
//   - Nothing is written, to the API server or to disk, when nothing changed; the UnderlayNode at most every five seconds.
//   - Objects that cannot be followed are left out and told; they are never an error of the whole.
//   - The API server's absence ends nothing.
//
// # What it may do in the cluster
//
// These permissions and no others; the manifests grant them:
//
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list;watch
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaynetworks;underlaypools,verbs=list;watch
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaynodes,verbs=list;watch;create
// +kubebuilder:rbac:groups=underlay.dev,resources=underlaynodes/status,verbs=update
// +kubebuilder:rbac:groups=networking.k8s.io,resources=servicecidrs,verbs=list;watch
//
// Lists of nodes and underlaynodes are of the object with the node's name alone, those of pools by the field spec.nodeName.
//
// # What it needs of the host
//
// hostNetwork (it works on the node's links) and hostPID (a new allocation store starts with the addresses that namespaces hold which only a process
// keeps). Mounts, read-write unless said otherwise, each at the same path in the container except where two are given:
//
//	/var/lib/underlay                  the node file
//	/run/underlay                      the allocation store
//	/run/netns, /var/run/netns         network namespaces of pods: read-only, mountPropagation HostToContainer, DirectoryOrCreate
//	/opt/cni/bin     → /host/opt/cni/bin
//	/etc/cni/net.d   → /host/etc/cni/net.d
//	/proc/sys/net    → /host/proc/sys/net
//
// Capabilities, all others dropped, root, no privileged container: NET_ADMIN (links, and reading nftables counters), SYS_ADMIN (entering the network
// namespaces of pods), SYS_PTRACE (finding those that only a process keeps).
package agent

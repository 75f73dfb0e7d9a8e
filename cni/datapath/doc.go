// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package datapath makes a pod's links, addresses, routes and neighbours what they should be, reads them back and removes them, by netlink alone. An
// Endpoint says what should be; Apply, Check and Remove may be called again with the same one, after a kill -9 at any point of an earlier call too.
//
// It imports the standard library, golang.org/x/sys/unix, golang.org/x/net/bpf (for filters' programs) and vishvananda/netlink/nl (for
// messages). It knows neither the node file nor the allocation store.
//
// # Invariants
//
//   - Links are made in the pod's namespace under their final name, by one message each: moving or renaming a link waits for RCU. All links of an
//     endpoint in the pod's namespace are of one group, so that one message removes them, waiting for RCU once.
//   - No address that the kernel chooses is ever on a pod's link: IPv6 address generation and router advertisements are switched off before a link is
//     up. No address waits for duplicate address detection (1 to 2 s).
//   - Nothing leaves a pod's interface that is not from its own addresses: a filter is there before the link is up. What must hold against raw sockets
//     that pass by the queues of their own link, or tell the kernel another protocol than the frame's, is on the node's interface, and looks at frames.
//   - When Apply fails, what it made is gone; what it found is left.
//   - Nothing of another owner is changed or removed: an interface in the way, a master with macvlan, a bridge, or ipvlan of another mode is an error.
//   - Messages for one namespace go out together; the kernel handles them in order, each with a result of its own.
//
// # Threads
//
// Open takes the calling thread's network namespace for the node's. Work inside a pod's namespace is done on the caller's
// thread, which is brought back behind it.
package datapath

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package ipam is the allocation store: which pod of this node holds which address. ADD takes addresses from it, DEL gives them back, and neither asks
// anybody else: an address belongs to an interface and an interface to a node, so nothing is contended between nodes.
//
// It imports the standard library, bbolt, golang.org/x/sys/unix, cni/nodefile, cni/plainjson and internal/iprange; no netlink: what it must know of live network
// namespaces comes from functions that its callers pass in.
//
// # Files
//
// All are in one folder, /run/underlay on nodes (mode 0700), on a file system that is empty after a boot:
//
//   - lock: an empty file; whoever has its flock may open the store and read or write the node file. It stays for ever.
//   - store.db: a bbolt file (mode 0600) with the buckets header, records, runs, waiting, queue and pools. The types header, Record, run, entry and
//     poolRow say what is in them; keys.go says how keys are written. Never synced: no sandbox outlives a boot, so no record must, and what a killed
//     process has written the kernel keeps.
//   - store.db.new: a store that is being made; it gets its name by a rename when it is whole.
//   - store.db.bad-N and store.db.bad-N.txt: a store that could not be read, and why; the last three are kept.
//
// # Lock order
//
// First the lock, then bbolt's own lock on store.db, which is never contended (bbolt would look again every 50 ms only). Nobody takes another lock,
// calls the network or waits for a process while holding it; Options.Found alone looks at the kernel's namespaces, when a store has to be made.
//
// # Invariants
//
//   - One transaction for each allocation or release. After kill -9 at any point the file is as before or as behind it: bbolt writes pages that
//     nothing refers to, then one of two meta pages with a checksum.
//   - No address is held twice. An address is held from the transaction that hands it out until the one that takes it back, whatever becomes of its
//     range, pool or network meanwhile.
//   - A released address is not handed out before its network's cooldown is over. The times are of CLOCK_BOOTTIME, which never jumps.
//   - What is handed out is in the node file that the caller read under this lock: enabled, in a range, neither draining, excluded nor reserved.
//   - Nothing enumerates a range. Allocation and release are O(log n) in the addresses in use (times the ranges of a pool, at most 128), whatever the
//     size of the range; only counting, for the agent or for an error, reads all addresses that wait.
//   - A store that is made, for whatever reason, starts with the addresses that live namespaces hold.
//   - Check finds nothing, ever.
//
// # The order in which addresses are handed out
//
// Fresh ones first: in the order of the pool's ranges from a cursor on, around. Then released ones, oldest first. See book, chooser and remembered.
package ipam

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package nodefile is the schema of the node file: all that the CNI needs to know to attach pods of this node, so that neither the API server nor
// the cloud is in the path of a pod's start. The node's agent writes the file from the pools and networks of its node; the CNI reads it at each ADD.
//
// It imports the standard library, cni/plainjson and internal/iprange alone: the CNI binary stays small and starts in milliseconds. It does not import the API
// types: whoever knows pools and networks fills a File and calls Update.
//
// # Format
//
// One JSON object, at most MaxSize bytes, field by field as the types of this package say; enums are spelled as in the API. An example is
// testdata/master.json. `version` is read first. A version that is not Version is refused with a *VersionError, and so is, with an *InvalidError, a
// field that this version does not know: each change of the schema is a new version. The agent installs the CNI binary of its own release before it
// writes the first file, so the two differ only while one of them is being replaced.
//
// # Invariants
//
//   - A File that Read returned or Write or Update accepted is valid: File.Validate finds nothing.
//   - The file at the path is always whole: writing fills a temporary file beside it, syncs, renames, and syncs the folder, so that readers and power
//     cuts see the old or the new file, never a half.
//   - The writer holds the allocation store's lock (ipam.Open) while it writes, and ADD holds it while it reads and allocates: once the agent has
//     written a range as draining and counted no address of it, no ADD that read an older file can still hand one out.
//   - Interfaces are named by MAC, never by link name, so a cloned disk, whose machine has other MACs, hands out nothing.
//   - A network and an interface have at most one pool of each family; no address is in two enabled pools.
package nodefile

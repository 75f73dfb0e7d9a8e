// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package ec2sim is an EC2 for tests and the demo: an HTTP server on loopback which speaks EC2's query protocol (API
// version 2016-11-15) to the unmodified AWS SDK, with EC2's rules, limits, error codes and pages.
//
// A Server is loaded from an Inventory. Its World may be changed while it runs; calls are recorded; permissions,
// credentials, throttling and failures are set on demand. Signatures are not verified.
//
// How it is laid out: server.go takes a request through gates (credentials, throttle.go, faults, permissions, dry run) to an action;
// registry.go lists the actions; each group of actions has a file, which reads parameters, applies the rules and fills
// a struct that encoding/xml writes. Rules that belong to addresses are in space_*.go, limits in limits.go, EC2's words
// for errors in errors.go, with their sources.
//
// Invariants: one mutex guards the World; actions run under it and change nothing when they fail. It listens on
// loopback only. It may import api/v1alpha1 and the standard library.
package ec2sim

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package api holds the custom resources' rules against a real API server: what it accepts and what it refuses, in
// which words; what it fills in; how kubectl shows the objects; how server-side apply merges them. It also holds what
// package document says of a file against what the API server says of the same object.
package api

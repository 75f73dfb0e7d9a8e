// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package agent is what runs on each node: it turns the pools and networks of its node into the node file, from which the CNI attaches pods.
package agent

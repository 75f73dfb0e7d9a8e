// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package arch holds the project to its shape: who may import whom, that every package says what it is for, and that
// the plugin builds wherever kubectl runs.
package arch

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

// Explain gives tests what runtimes see of an error.
func Explain(err error) error { return explain(err) }

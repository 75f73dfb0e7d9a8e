// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package plugin is the command line of kubectl underlay: one file per command. It parses flags, gathers what is known
// (package kube, and a cloud.Provider that main hands in), lets plan and check think, and prints through plugin/ui.
//
// Data goes to stdout, chatter to stderr. Exit codes, in every output format: 0 fine; 1 ran and found something;
// 2 could not run; 3 a wait timed out; 130 interrupted.
//
// It imports neither operator, cni nor netlink, and builds for linux, darwin and windows.
package plugin

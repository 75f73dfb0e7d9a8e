// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package install holds what is installed into a cluster against a real API server: that it is accepted as it is, that
// kustomize makes the same of it, and what operator and agents may and may not do once it is there.
package install

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package image holds the image that "make image" builds to what nodes need of it. It reads archives by the standard
// library alone: as a container runtime would, and not as the tool that wrote them.
package image

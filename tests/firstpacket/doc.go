// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package firstpacket is one test: from an inventory file to pods that reach each other across subnets, with nothing of ours left out but Kubernetes.
// It plans the walkthrough, writes the node files, boots the two nodes on a VPC that drops what AWS drops, and attaches two pods with the CNI binary:
//
//	go test -v ./tests/firstpacket
package firstpacket

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package cloud holds what every cloud has in common: the Provider interface, a snapshot of what a provider sees, the
// join of Kubernetes nodes with their instances, and errors that say what to do next. It does no I/O and imports no
// cloud's SDK; package aws beside it does.
//
// Invariants: an instance belongs to at most one node; a node whose instance is not certain has none; output is sorted,
// whatever the order of the input.
package cloud

import (
	"context"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Provider observes a cloud.
type Provider interface {
	// Snapshot lists instances, with their interfaces, subnets, VPCs and instance types, of the VPCs that the nodes
	// are in. Nodes carry what Kubernetes knows (name, providerID, internalIPs, labels). The number of calls grows
	// with pages, not with nodes. A failure is an *Error.
	Snapshot(ctx context.Context, nodes []v1alpha1.Node) (Snapshot, error)

	// Instances is the part of a Snapshot that is about these nodes, where the rest is known already: their instances,
	// with interfaces, subnets, VPCs and types. The number of calls does not grow with the size of their VPCs. Nodes
	// that are no instances, or not yet, are left out. A failure is an *Error.
	Instances(ctx context.Context, nodes []v1alpha1.Node) (Snapshot, error)

	// Surroundings fills the verbatim lists of an inventory (route tables, security groups, gateways and so on) with
	// what its VPCs have. Plans need none of it; checks and traces read it. A list that may not be read stays as it
	// is, and missing says which permission that needs: each is an *Error with reason Unauthorized, sorted by action.
	// Any other failure is an *Error.
	Surroundings(ctx context.Context, inv v1alpha1.Inventory) (filled v1alpha1.Inventory, missing []*Error, err error)
}

// Snapshot is what a cloud says at one time; each list sorted by id.
type Snapshot struct {
	Instances     []Instance
	Subnets       []v1alpha1.Subnet
	VPCs          []v1alpha1.VPC
	InstanceTypes []v1alpha1.InstanceType
}

// Instance is a virtual or bare machine.
type Instance struct {
	// ID such as i-0a1b.
	ID string
	// Type such as m5.large.
	Type string
	// State such as running.
	State string
	// VPCID of the instance.
	VPCID string
	// Interfaces attached, by card and device index, without links. PrimaryIPv6 is set only where the cloud says that
	// an address is the primary one; SecondaryIPv6 is in the cloud's order, which Join needs to find the node's own.
	Interfaces []v1alpha1.Interface
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Inputs is all that a plan depends on.
type Inputs struct {
	// Inventory is what was observed.
	Inventory v1alpha1.Inventory
	// Networks are the user's, from a cluster or a file.
	Networks []v1alpha1.UnderlayNetwork
	// Propose adds a network for each device index that carries addresses for pods and that no network in Networks
	// chooses.
	Propose bool
	// ProposeDefault makes the first proposed network the default of its nodes, unless a given network is one already: for
	// nodes that have no CNI yet.
	ProposeDefault bool
}

// Plan is what should exist.
type Plan struct {
	// Networks are the given and the proposed ones, by name.
	Networks []v1alpha1.UnderlayNetwork
	// Pools by name, those of Manual networks left out: the user writes them.
	Pools []v1alpha1.UnderlayPool
	// Attachments by namespace and name.
	Attachments []Attachment
}

// Attachment is a NetworkAttachmentDefinition made for a network.
type Attachment struct {
	Namespace string
	Name      string
	// Network that the attachment joins.
	Network string
	// Config is the CNI configuration, compact JSON.
	Config string
}

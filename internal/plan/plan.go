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
	// Pools by name, of the networks whose provider is the inventory's: those of Manual networks come from an inventory
	// that the user has written, else they are his own to write. There are many, and they share labels and owners: who changes
	// one's copies it first.
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

// ManualPools tells the pools of Manual networks, which their user writes, from those that the operator derives.
func (p Plan) ManualPools() (manual, derived []v1alpha1.UnderlayPool) {
	written := map[string]bool{}
	for i := range p.Networks {
		written[p.Networks[i].Name] = p.Networks[i].Spec.Provider == v1alpha1.ProviderManual
	}
	for i := range p.Pools {
		if written[p.Pools[i].Spec.NetworkName] {
			manual = append(manual, p.Pools[i])
			continue
		}
		derived = append(derived, p.Pools[i])
	}
	return manual, derived
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// WithLinks fills the name and the MTU of each interface from what its node's agent saw, by MAC address: names differ
// from distribution to distribution. Interfaces that no agent saw stay as they are.
func WithLinks(inv *v1alpha1.Inventory, seen []v1alpha1.UnderlayNode) {
	links := make(map[string][]v1alpha1.NodeLink, len(seen))
	for _, node := range seen {
		links[node.Name] = node.Status.Links
	}
	for i := range inv.Nodes {
		node := &inv.Nodes[i]
		node.Interfaces = slices.Clone(node.Interfaces)
		for j := range node.Interfaces {
			nic := &node.Interfaces[j]
			k := slices.IndexFunc(links[node.Name], func(l v1alpha1.NodeLink) bool {
				return strings.EqualFold(l.MACAddress, nic.MACAddress)
			})
			if k >= 0 {
				nic.Name, nic.MTU = links[node.Name][k].Name, links[node.Name][k].MTU
			}
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// WithReports fills in what the nodes' agents saw: the machine, and the name and the MTU of each interface, by MAC
// address: names differ from distribution to distribution. What no agent saw stays as it is.
func WithReports(inv *v1alpha1.Inventory, seen []v1alpha1.UnderlayNode) {
	reports := make(map[string]*v1alpha1.UnderlayNodeStatus, len(seen))
	for i := range seen {
		reports[seen[i].Name] = &seen[i].Status
	}
	for i := range inv.Nodes {
		node := &inv.Nodes[i]
		report := reports[node.Name]
		if report == nil {
			continue
		}
		if report.Host != nil {
			node.Host = report.Host.DeepCopy()
		}
		node.Interfaces = slices.Clone(node.Interfaces)
		for j := range node.Interfaces {
			nic := &node.Interfaces[j]
			k := slices.IndexFunc(report.Links, func(l v1alpha1.NodeLink) bool {
				return strings.EqualFold(l.MACAddress, nic.MACAddress)
			})
			if k >= 0 {
				nic.Name, nic.MTU = report.Links[k].Name, report.Links[k].MTU
			}
		}
	}
}

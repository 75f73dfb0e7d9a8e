// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Bare is the inventory of a cluster without a cloud, as far as its nodes and their agents know it: links become
// interfaces, numbered by name, and each name of a link a subnet of which nothing is known yet. The user adds the rest.
func Bare(nodes []v1alpha1.Node, seen []v1alpha1.UnderlayNode) v1alpha1.Inventory {
	out := v1alpha1.Inventory{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.InventoryKind},
		Provider: v1alpha1.ProviderManual,
		Nodes:    slices.Clone(nodes),
	}
	links := make(map[string][]v1alpha1.NodeLink, len(seen))
	for i := range seen {
		links[seen[i].Name] = seen[i].Status.Links
	}
	var names []string
	for i := range out.Nodes {
		n := &out.Nodes[i]
		mine := slices.Clone(links[n.Name])
		slices.SortFunc(mine, func(a, b v1alpha1.NodeLink) int { return cmp.Compare(a.Name, b.Name) })
		for index, link := range mine {
			names = append(names, link.Name)
			n.Interfaces = append(n.Interfaces, v1alpha1.Interface{ID: n.Name + "-" + link.Name, Name: link.Name, MTU: link.MTU,
				MACAddress: strings.ToLower(link.MACAddress), DeviceIndex: int32(index), SubnetID: link.Name}) //nolint:gosec // a handful
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		out.Subnets = append(out.Subnets, v1alpha1.Subnet{ID: name})
	}
	return out
}

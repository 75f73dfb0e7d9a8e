// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// For computes what should exist. Findings are sorted by severity, id and object; the same inputs in any order give the
// same plan.
func For(in Inputs) (Plan, []Finding) {
	v := observe(&in.Inventory)
	networks := readNetworks(in.Networks)
	if in.Propose {
		networks = append(networks, propose(v, networks, in.ProposeDefault)...)
	}
	var p Plan
	var pools []*v1alpha1.UnderlayPool
	for _, n := range networks {
		if !slices.ContainsFunc(p.Networks, func(other v1alpha1.UnderlayNetwork) bool { return other.Name == n.Name }) {
			p.Networks = append(p.Networks, *n.UnderlayNetwork)
		}
		n.elsewhere = (n.spec.Provider == v1alpha1.ProviderManual) != v.manual
		if n.invalid == nil {
			pools = append(pools, n.pools(v)...)
		}
	}
	markDefaults(v, networks)
	var shared []Finding
	p.Attachments, shared = attachments(networks)

	slices.SortFunc(p.Networks, func(a, b v1alpha1.UnderlayNetwork) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(pools, func(a, b *v1alpha1.UnderlayPool) int { return cmp.Compare(a.Name, b.Name) })
	if len(pools) > 0 {
		p.Pools = make([]v1alpha1.UnderlayPool, 0, len(pools))
	}
	for _, pool := range pools {
		p.Pools = append(p.Pools, *pool)
	}
	findings := slices.Concat(shared, v.report(), report(networks))
	if in.Propose && len(networks) == 0 {
		findings = append(findings, v.nothing())
	}
	SortFindings(findings)
	return p, slices.Compact(findings)
}

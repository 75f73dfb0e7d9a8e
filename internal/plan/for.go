// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	drafts := make([]draft, 0, int(families)*v.count()) // if each interface is chosen, and has both
	for _, n := range networks {
		if !slices.ContainsFunc(p.Networks, func(other v1alpha1.UnderlayNetwork) bool { return other.Name == n.Name }) {
			p.Networks = append(p.Networks, *n.UnderlayNetwork)
		}
		n.elsewhere = (n.spec.Provider == v1alpha1.ProviderManual) != v.manual
		if n.invalid == nil {
			drafts = n.drafts(v, drafts)
		}
	}
	markDefaults(v, networks)
	var shared []Finding
	p.Attachments, shared = attachments(networks)

	slices.SortFunc(p.Networks, func(a, b v1alpha1.UnderlayNetwork) int { return cmp.Compare(a.Name, b.Name) })
	p.Pools = pools(drafts)
	findings := slices.Concat(shared, v.report(), report(networks), routesNotReached(&p), hostAccessCoversPods(&p))
	if in.Propose && len(networks) == 0 {
		findings = append(findings, v.nothing())
	}
	SortFindings(findings)
	return p, slices.Compact(findings)
}

// pools of the drafts, by name; nil if there are none.
func pools(drafts []draft) []v1alpha1.UnderlayPool {
	if len(drafts) == 0 {
		return nil
	}
	slices.SortFunc(drafts, func(a, b draft) int { return cmp.Compare(a.name, b.name) })
	form := v1alpha1.UnderlayPool{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "UnderlayPool"},
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{LabelManagedBy: ManagedBy}},
	}
	out := make([]v1alpha1.UnderlayPool, 0, len(drafts))
	for i := range drafts {
		out = append(out, drafts[i].pool(form))
	}
	return out
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// longestID is what the schema of a pool allows of an interface's id.
const longestID = 63

// written makes of a pool one that its user keeps: it is not ours to delete, and stays when its node is installed anew.
func written(p *v1alpha1.UnderlayPool) {
	p.Labels, p.OwnerReferences = nil, nil
	if len(p.Spec.Interface.ID) > longestID {
		p.Spec.Interface.ID = ""
	}
}

// manualSubnet has the gateway that the user knows, and reserves what no host of a subnet may have.
func manualSubnet(s v1alpha1.Subnet) *subnet {
	out := newSubnet(s)
	for fam, gateway := range [...]netip.Addr{s.Gateway, s.IPv6Gateway} {
		f := &out.families[fam]
		f.gateway = ""
		if !f.network.IsValid() || !gateway.IsValid() || !f.network.Reaches(gateway) {
			continue
		}
		f.gateway = v1alpha1.Address(gateway.String())
		f.reserved = iprange.Merge(append(f.network.Reserved(), iprange.Single(gateway)))
	}
	return out
}

// needGateways leaves out addresses whose subnet does not say its gateway, and tells it once for each subnet.
func (v *view) needGateways() {
	if !v.manual {
		return
	}
	type lack struct {
		id  string
		fam family
	}
	lacking := map[lack]int{}
	for n := range v.nics() {
		for fam := range families {
			if n.subnet == nil || n.subnet.families[fam].gateway != "" || len(n.ranges[fam][fromPrefix])+len(n.ranges[fam][fromSecondary]) == 0 {
				continue
			}
			n.ranges[fam] = [sources][]iprange.Range{}
			lacking[lack{n.subnet.id, fam}]++
		}
	}
	for l, count := range lacking {
		field := [...]string{"gateway", "ipv6Gateway"}[l.fam]
		v.findings = append(v.findings, Finding{ID: IDSubnetWithoutGateway, Severity: Error, Object: "subnet/" + l.id,
			Message: fmt.Sprintf("it has no %s gateway inside it, so there is no pool for the %s addresses of %s", l.fam.api(), l.fam.api(), Count(count, "interface")),
			Remedy:  "write `" + field + ":` into the subnet: the router's address, as `ip route` on a node shows it behind `default via`"})
	}
	slices.SortFunc(v.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Message, b.Message))
	})
}

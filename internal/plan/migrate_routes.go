// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// maxRoutes is what the schema of a network allows.
const maxRoutes = 64

// routes of the pools become the network's, where all pools of a family have the same and reach their gateways: a network
// has no routes of a single pool.
func (m *migration) routes(n *v1alpha1.UnderlayNetwork, pools []*spiderPool) {
	for fam := range families {
		of := slices.DeleteFunc(slices.Clone(pools), func(p *spiderPool) bool { return p.fam != fam })
		if !slices.ContainsFunc(of, func(p *spiderPool) bool { return len(p.spec.Routes) > 0 }) {
			continue
		}
		common, why := agreed(of)
		if why == "" && len(n.Spec.Routes)+len(common) > maxRoutes {
			why = fmt.Sprintf("a network has %d at most", maxRoutes)
		}
		if why == "" {
			n.Spec.Routes = append(n.Spec.Routes, common...)
		}
		for _, p := range of {
			switch {
			case len(p.spec.Routes) == 0:
			case why == "":
				m.tell(p.object(), "spec.routes", Carried, "spec.routes of network %s", n.Name)
			default:
				m.tell(p.object(), "spec.routes", ToDo, "not carried over: %s; a network has no routes of a single pool: add to its spec.routes those that all its nodes share", why)
			}
		}
	}
}

// agreed are the routes that all pools have, sorted; else it says why there are none.
func agreed(pools []*spiderPool) (common []v1alpha1.Route, why string) {
	for i, p := range pools {
		mine, why := p.routes()
		switch {
		case why != "":
			return nil, why
		case i == 0:
			common = mine
		case !slices.Equal(common, mine):
			return nil, fmt.Sprintf("pools %s and %s have others", pools[0].name, p.name)
		}
	}
	return common, ""
}

// routes as a network has them.
func (p *spiderPool) routes() (out []v1alpha1.Route, why string) {
	for _, r := range p.spec.Routes {
		destination, err := netip.ParsePrefix(r.Dst)
		gateway, gatewayErr := netip.ParseAddr(r.Gw)
		switch {
		case err != nil || destination != destination.Masked():
			return nil, fmt.Sprintf("%q is not a CIDR without host bits", r.Dst)
		case gatewayErr != nil || destination.Addr().Is4() != gateway.Is4():
			return nil, fmt.Sprintf("the gateway of %s, %q, is no address of its family", r.Dst, r.Gw)
		case gateway != p.gateway && !p.subnet.Reaches(gateway):
			return nil, fmt.Sprintf("the gateway %s of %s is not in the subnet %s", r.Gw, r.Dst, p.spec.Subnet)
		}
		out = append(out, v1alpha1.Route{Destination: v1alpha1.CIDR(destination.String()), Gateway: v1alpha1.Address(gateway.String())})
	}
	slices.SortFunc(out, compareRoutes)
	return slices.Compact(out), ""
}

func compareRoutes(a, b v1alpha1.Route) int {
	return cmp.Or(cmp.Compare(a.Destination, b.Destination), cmp.Compare(a.Gateway, b.Gateway))
}

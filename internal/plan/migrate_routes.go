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

// routes of the pools become the network's, where each pool of a family then has its own again: a network has no routes of a
// single pool, but pods get those alone whose gateway is in their subnet.
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
				m.tell(p.object(), "spec.routes", ToDo, "not carried over: %s; a network has no routes of a single pool: add to its spec.routes those that all pods in a subnet shall have", why)
			}
		}
	}
}

// agreed are routes of which each pool has those whose gateway it reaches, sorted; else it says why there are none.
func agreed(pools []*spiderPool) (all []v1alpha1.Route, why string) {
	own := make([][]v1alpha1.Route, len(pools))
	for i, p := range pools {
		if own[i], why = p.routes(); why != "" {
			return nil, why
		}
		all = append(all, own[i]...)
	}
	slices.SortFunc(all, compareRoutes)
	all = slices.Compact(all)
	for i, p := range pools {
		if !slices.Equal(own[i], p.reached(all)) {
			return nil, fmt.Sprintf("with the routes of the other pools, %s would have others than its own", p.name)
		}
	}
	return all, ""
}

// reached are the routes that pods of the pool would get of a network's: to each destination the first whose gateway they reach.
func (p *spiderPool) reached(routes []v1alpha1.Route) (out []v1alpha1.Route) {
	for _, r := range routes {
		gateway, err := netip.ParseAddr(string(r.Gateway))
		first := len(out) == 0 || out[len(out)-1].Destination != r.Destination // they are sorted
		if err == nil && first && p.subnet.Reaches(gateway) {
			out = append(out, r)
		}
	}
	return out
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

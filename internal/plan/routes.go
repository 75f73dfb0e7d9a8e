// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// RoutesNotReached are findings of the network's routes that pods of these pools, which are the network's, do not get: they
// reach none of the gateways to a destination. A network without pools says nothing.
func RoutesNotReached(network *v1alpha1.UnderlayNetwork, pools []*v1alpha1.UnderlayPool) []Finding {
	if len(network.Spec.Routes) == 0 || len(pools) == 0 {
		return nil
	}
	var byFamily [families][]poolSubnet
	for _, p := range pools {
		if subnet, err := iprange.Parse(string(p.Spec.Subnet)); err == nil {
			fam := familyOf(subnet.First)
			byFamily[fam] = append(byFamily[fam], poolSubnet{p.Name, subnet})
		}
	}
	var destinations []v1alpha1.CIDR
	gateways := map[v1alpha1.CIDR][]netip.Addr{}
	for _, r := range network.Spec.Routes {
		gateway, err := netip.ParseAddr(string(r.Gateway))
		if err != nil {
			continue // which the API server refuses
		}
		if gateways[r.Destination] == nil {
			destinations = append(destinations, r.Destination)
		}
		gateways[r.Destination] = append(gateways[r.Destination], gateway)
	}
	var out []Finding
	for _, destination := range destinations {
		fam := familyOf(gateways[destination][0])
		if message := notReached(destination, gateways[destination], byFamily[fam], fam); message != "" {
			out = append(out, Finding{ID: IDRouteGatewayNotReached, Severity: Warning, Object: "network/" + network.Name,
				Message: message,
				Remedy: "correct the gateway in spec.routes, or add a route to the same destination by a gateway of their subnet: each subnet may have one; " +
					"until then these pods go by their default route"})
		}
	}
	return out
}

// poolSubnet is the subnet of the named pool.
type poolSubnet struct {
	pool string
	iprange.Range
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return v4
	}
	return v6
}

// notReached says which pods have no route to the destination; empty if all have one.
func notReached(destination v1alpha1.CIDR, gateways []netip.Addr, pools []poolSubnet, fam family) string {
	kind := string(fam.api()) + " pool"
	if len(pools) == 0 {
		return fmt.Sprintf("no pod has the route to %s by %s: the network has no %s", destination, joined(gateways), kind)
	}
	var without []string
	for _, p := range pools {
		if !slices.ContainsFunc(gateways, p.Reaches) {
			without = append(without, p.pool)
		}
	}
	if len(without) == 0 {
		return ""
	}
	who := Count(len(pools), kind)
	if len(without) < len(pools) {
		who = fmt.Sprintf("%d of %s", len(without), who)
	}
	return fmt.Sprintf("pods of %s have no route to %s, since they do not reach %s from their subnet: %s", who, destination, joined(gateways), Some(without))
}

// routesNotReached are those of networks whose pools are planned, in order of the networks. Pools are in order of their names.
func routesNotReached(p *Plan) []Finding {
	byNetwork := map[string][]*v1alpha1.UnderlayPool{}
	for i := range p.Networks {
		if len(p.Networks[i].Spec.Routes) > 0 {
			byNetwork[p.Networks[i].Name] = []*v1alpha1.UnderlayPool{}
		}
	}
	if len(byNetwork) == 0 {
		return nil
	}
	for i := range p.Pools {
		if of, ok := byNetwork[p.Pools[i].Spec.NetworkName]; ok {
			byNetwork[p.Pools[i].Spec.NetworkName] = append(of, &p.Pools[i])
		}
	}
	var out []Finding
	for i := range p.Networks {
		out = append(out, RoutesNotReached(&p.Networks[i], byNetwork[p.Networks[i].Name])...)
	}
	return out
}

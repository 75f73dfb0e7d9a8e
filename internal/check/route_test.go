// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// routeCases are of networks' routes: with planned pools, and with pools that users have written.
func routeCases() []checkCase {
	route := func(destination v1alpha1.CIDR, gateways ...v1alpha1.Address) (out []v1alpha1.Route) {
		for _, gateway := range gateways {
			out = append(out, v1alpha1.Route{Destination: destination, Gateway: gateway})
		}
		return out
	}
	planned := func(routes []v1alpha1.Route, change func(*situation)) func(*situation) {
		return func(s *situation) {
			change(s)
			s.networks = []v1alpha1.UnderlayNetwork{network("a", func(n *v1alpha1.UnderlayNetworkSpec) { n.Routes = routes })}
		}
	}
	written := func(routes []v1alpha1.Route) func(*situation) {
		return func(s *situation) {
			s.written(func(n *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) { n.Spec.Routes = routes })
		}
	}
	asItIs := func(*situation) {}
	noIPv6 := func(s *situation) { s.nic(0).IPv6Prefixes, s.nic(1).IPv6Prefixes = nil, nil }
	of := func(bad, good func(*situation), object, says string) checkCase {
		return checkCase{id: plan.IDRouteGatewayNotReached, severity: plan.Warning, object: object, says: says, bad: bad, good: good}
	}
	const private = "192.168.0.0/16"
	return []checkCase{
		of(planned(route(private, "192.0.2.1"), asItIs), planned(route(private, "10.0.0.9"), asItIs), "network/a",
			"pods of 2 IPv4 pools have no route to 192.168.0.0/16, since they do not reach 192.0.2.1 from their subnet: a.0.v4.node-0000, a.0.v4.node-0001"),
		of(planned(route(private, "10.0.255.255"), asItIs), planned(route(private, "10.0.255.254"), asItIs), "network/a", "reach 10.0.255.255"),
		of(planned(route(private, "10.0.0.9"), (*situation).twoSubnets), planned(route(private, "10.0.0.9", "10.1.0.9"), (*situation).twoSubnets), "network/a",
			"pods of 1 of 2 IPv4 pools have no route to 192.168.0.0/16, since they do not reach 10.0.0.9 from their subnet: a.0.v4.node-0001"),
		of(planned(route("fd00::/8", "fe80::9"), noIPv6), planned(route("fd00::/8", "fe80::9"), asItIs), "network/a",
			"no pod has the route to fd00::/8 by fe80::9: the network has no IPv6 pool"),
		of(written(route(private, "192.0.2.1")), written(route(private, "10.0.0.9")), "network/lab", "pods of 1 IPv4 pool have no route to 192.168.0.0/16"),
	}
}

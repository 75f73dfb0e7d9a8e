// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// accessCases are of what pods reach by their nodes.
func accessCases() []checkCase {
	secondary := func(cidr v1alpha1.CIDR) func(*situation) {
		return func(s *situation) {
			s.nic(0).DeviceIndex, s.nic(1).DeviceIndex = 1, 1
			s.networks = []v1alpha1.UnderlayNetwork{network("a", func(n *v1alpha1.UnderlayNetworkSpec) {
				n.InterfaceSelector.DeviceIndexes = []int32{1}
				n.HostAccess = &v1alpha1.HostAccess{CIDRs: []v1alpha1.CIDR{cidr}}
			})}
		}
	}
	of := func(bad, good func(*situation), says string) checkCase {
		return checkCase{id: plan.IDHostAccessCoversPods, severity: plan.Warning, object: "network/a", says: says, bad: bad, good: good}
	}
	return []checkCase{
		of(secondary("10.0.0.0/8"), secondary("192.168.0.0/16"), "10.0.0.0/8, in which are addresses of pods: a.1.v4.node-0000, a.1.v4.node-0001;"),
		of(secondary("10.0.1.64/28"), secondary("10.0.1.0/28"), "10.0.1.64/28, in which are addresses of pods: a.1.v4.node-0001;"),
		of(secondary("::/0"), func(s *situation) { // by the node's own interface, which has the addresses
			s.networks = []v1alpha1.UnderlayNetwork{network("a", func(n *v1alpha1.UnderlayNetworkSpec) {
				n.HostAccess = &v1alpha1.HostAccess{CIDRs: []v1alpha1.CIDR{"::/0"}}
			})}
		}, "::/0, in which"),
		of(secondary("10.0.0.0/8"), func(s *situation) { // no host leg
			secondary("10.0.0.0/8")(s)
			s.networks[0].Spec.HostAccess.Enabled = new(false)
		}, "10.0.0.0/8, in which"),
		of(secondary("10.0.0.0/8"), func(s *situation) { // one node, whose pods are neighbours
			secondary("10.0.0.0/8")(s)
			s.inv.Nodes = s.inv.Nodes[:1]
		}, "10.0.0.0/8, in which"),
	}
}

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

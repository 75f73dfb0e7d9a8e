// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// spiderpoolCases are those of exports.
func spiderpoolCases() []checkCase {
	routeBy := func(gateway v1alpha1.Address) func(*situation) {
		return func(s *situation) {
			s.spiderpool = true
			s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) {
				n.Routes = []v1alpha1.Route{{Destination: "192.168.0.0/16", Gateway: gateway}}
			})}
		}
	}
	return []checkCase{
		{
			id:       plan.IDLinkNameUnknown,
			bad:      func(s *situation) { s.spiderpool, s.nic(0).Name = true, "" },
			good:     func(s *situation) { s.spiderpool = true },
			severity: plan.Error, object: "interface/eni-0000-0 (node-0000)", says: "Spiderpool finds an interface by the name",
		},
		{
			id:       plan.IDRouteNotExported,
			bad:      routeBy("10.99.0.1"),
			good:     routeBy("10.0.0.1"),
			severity: plan.Warning, object: "network/main", says: "to 192.168.0.0/16 by 10.99.0.1 is left out of 2 SpiderIPPools: node-0000-v4, node-0001-v4",
		},
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// routeGatewayNotReached passes on what the planner says of its pools, and looks at the networks of the cluster whose pools their users have written.
func routeGatewayNotReached(in Inputs) []plan.Finding {
	out := slices.DeleteFunc(slices.Clone(in.PlanFindings), func(f plan.Finding) bool { return f.ID != plan.IDRouteGatewayNotReached })
	if in.Cluster == nil {
		return out
	}
	written := map[string][]*v1alpha1.UnderlayPool{}
	for i := range in.Cluster.Pools {
		p := &in.Cluster.Pools[i]
		written[p.Spec.NetworkName] = append(written[p.Spec.NetworkName], p)
	}
	for i := range in.Plan.Pools { // it speaks for its networks
		delete(written, in.Plan.Pools[i].Spec.NetworkName)
	}
	for i := range in.Cluster.Networks {
		if n := &in.Cluster.Networks[i]; n.Spec.Provider == v1alpha1.ProviderManual {
			out = append(out, plan.RoutesNotReached(n, written[n.Name])...)
		}
	}
	return out
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// idPoolDuplicate is of two pools of which a node can have one.
const idPoolDuplicate = "pool-duplicate"

// manualChecks are of pools that users have written.
func manualChecks() []Check {
	mistake := func(id, title string) Check {
		return Check{ID: id, Title: title, Severity: plan.Error, Run: inCluster(func(in Inputs) []plan.Finding { return mistakes(in, id) })}
	}
	return []Check{
		{idPoolDuplicate, "a network, interface and family have one pool", plan.Error, inCluster(poolDuplicate)},
		mistake(plan.IDPoolFamilyNotInNetwork, "a pool's family is among its network's"),
		mistake(plan.IDPoolHasGateway, "no pool hands out its gateway"),
		mistake(plan.IDPoolHasNodeAddress, "no pool hands out a node's own address"),
		mistake(plan.IDPoolHasReservedAddress, "no pool hands out an address that no host may have"),
		mistake(plan.IDPoolInterfaceNotFound, "a pool's interface is on its node"),
		mistake(plan.IDPoolNetworkNotFound, "a pool's network exists"),
		mistake(plan.IDPoolNodeNotFound, "a pool's node exists"),
		mistake(plan.IDPoolNodeNotSelected, "a pool's node is one of its network's"),
		mistake(plan.IDPoolNotDerived, "users write pools for Manual networks alone"),
	}
}

// isMistake says whether one of these checks tells of what the operator has put into the condition Valid.
func isMistake(reason string) bool {
	return reason == "Duplicate" || slices.ContainsFunc(manualChecks(), func(c Check) bool { return plan.Mistake{ID: c.ID}.Reason() == reason })
}

// mistakes of one id, in the pools that nobody derives.
func mistakes(in Inputs, id string) []plan.Finding {
	networks := map[string]*v1alpha1.UnderlayNetwork{}
	for i := range in.Cluster.Networks {
		networks[in.Cluster.Networks[i].Name] = &in.Cluster.Networks[i]
	}
	site := plan.NewSite(networks, in.Cluster.Nodes, in.Cluster.Reports)
	var out []plan.Finding
	for i := range in.Cluster.Pools {
		p := &in.Cluster.Pools[i]
		if p.Labels[plan.LabelManagedBy] == plan.ManagedBy {
			continue
		}
		if m, wrong := site.Mistake(p); wrong && m.ID == id {
			out = append(out, plan.Finding{ID: id, Severity: plan.Error, Object: "pool/" + p.Name, Message: m.Message,
				Remedy: m.Remedy + "; until then it hands out nothing"})
		}
	}
	return out
}

// poolDuplicate finds pools of one network, node, interface and family.
func poolDuplicate(in Inputs) []plan.Finding {
	type binding struct {
		network, node, mac string
		family             v1alpha1.IPFamily
	}
	first := map[binding]*v1alpha1.UnderlayPool{}
	pools := slices.Clone(in.Cluster.Pools)
	slices.SortFunc(pools, func(a, b v1alpha1.UnderlayPool) int {
		return cmp.Or(plan.CompareAge(a.CreationTimestamp, b.CreationTimestamp), cmp.Compare(a.Name, b.Name))
	})
	var out []plan.Finding
	for i := range pools {
		s := &pools[i].Spec
		key := binding{s.NetworkName, s.NodeName, s.Interface.MACAddress, s.IPFamily}
		if other := first[key]; other != nil {
			out = append(out, plan.Finding{ID: idPoolDuplicate, Severity: plan.Error, Object: "pool/" + pools[i].Name,
				Message: fmt.Sprintf("pool %s is of the same network, node, interface and family, and a node uses one of them", other.Name),
				Remedy:  "put all ranges into one of the two, and delete the other"})
			continue
		}
		first[key] = &pools[i]
	}
	return out
}

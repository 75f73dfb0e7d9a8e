// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of pools.
const (
	idPoolOverlap          = "pool-overlap"
	idPrefixNotOnInterface = "prefix-not-on-interface"
)

func poolChecks() []Check {
	return slices.Concat(manualChecks(), []Check{
		{idPoolOverlap, "no address is in two pools", plan.Error, poolOverlap},
		{idPrefixNotOnInterface, "a pool's ranges are on its interface", plan.Error, inCluster(prefixNotOnInterface)},
	})
}

// part is a range that a pool hands out.
type part struct {
	iprange.Range
	pool *v1alpha1.UnderlayPool
	// rank tells who gives way: of two pools the one of higher rank.
	rank int
}

// poolOverlap compares planned pools with those that will stay beside them: the user's own, those of networks that are
// not planned, and those that pods still hold addresses of.
func poolOverlap(in Inputs) []plan.Finding {
	var parts []part
	planned := map[string]bool{}
	for i := range in.Plan.Pools {
		p := &in.Plan.Pools[i]
		planned[p.Name] = true
		parts = appendParts(parts, p, 0)
	}
	if in.Cluster != nil {
		derived := derivedNetworks(in.Plan)
		for i := range in.Cluster.Pools {
			p := &in.Cluster.Pools[i]
			goes := derived[p.Spec.NetworkName] && p.Status.Allocated == 0
			if !planned[p.Name] && !goes {
				parts = appendParts(parts, p, 1)
			}
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return a.Compare(b.Range) })
	return overlaps(parts)
}

func derivedNetworks(p plan.Plan) map[string]bool {
	out := map[string]bool{}
	for i := range p.Networks {
		out[p.Networks[i].Name] = p.Networks[i].Spec.Provider != v1alpha1.ProviderManual
	}
	return out
}

func appendParts(parts []part, p *v1alpha1.UnderlayPool, rank int) []part {
	for _, r := range iprange.Subtract(parse(p.Spec.Ranges), parse(p.Spec.Exclude)) {
		parts = append(parts, part{r, p, rank})
	}
	return parts
}

// parse leaves out what cannot be read: the API server has refused it before.
func parse(in []v1alpha1.Range) []iprange.Range {
	out := make([]iprange.Range, 0, len(in))
	for _, text := range in {
		if r, err := iprange.Parse(string(text)); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// overlaps walks parts in order of their first address, and keeps those that reach beyond the present one.
func overlaps(parts []part) []plan.Finding {
	type pair struct{ loser, winner *v1alpha1.UnderlayPool }
	shared := map[pair][]iprange.Range{}
	var open []part
	for _, p := range parts {
		open = slices.DeleteFunc(open, func(o part) bool { return !o.Overlaps(p.Range) })
		for _, o := range open {
			if o.pool == p.pool {
				continue
			}
			common, _ := o.Intersect(p.Range)
			loser, winner := o, p
			if o.rank < p.rank || o.rank == p.rank && o.pool.Name < p.pool.Name {
				loser, winner = p, o
			}
			key := pair{loser.pool, winner.pool}
			shared[key] = append(shared[key], common)
		}
		open = append(open, p)
	}
	var out []plan.Finding
	for pools, ranges := range shared {
		ranges = iprange.Merge(ranges)
		out = append(out, plan.Finding{ID: idPoolOverlap, Severity: plan.Error, Object: "pool/" + pools.loser.Name,
			Message: fmt.Sprintf("it has %s in common with pool %s of network %s: %s", addresses(ranges), pools.winner.Name,
				pools.winner.Spec.NetworkName, plan.SomeRanges(ranges)),
			Remedy: "take them out of one of the two (spec.ranges of a pool that you wrote, else spec.exclude of its network); " +
				"until then two pods can get one address"})
	}
	return out
}

// prefixNotOnInterface compares the pools that exist with what the cloud has bound to their interfaces.
func prefixNotOnInterface(in Inputs) []plan.Finding {
	if in.Inventory.Provider != v1alpha1.ProviderAWS {
		return nil // only a cloud knows which addresses an interface may use
	}
	nodes := map[string]*v1alpha1.Node{}
	for i := range in.Inventory.Nodes {
		nodes[in.Inventory.Nodes[i].Name] = &in.Inventory.Nodes[i]
	}
	var out []plan.Finding
	for i := range in.Cluster.Pools {
		p := &in.Cluster.Pools[i]
		n := nodes[p.Spec.NodeName]
		if n == nil || len(n.Interfaces) == 0 {
			continue // other checks speak of such nodes
		}
		f := plan.Finding{ID: idPrefixNotOnInterface, Severity: plan.Error, Object: "pool/" + p.Name,
			Remedy: "bind the addresses to the interface again, or drain them (spec.draining) before they go from spec.ranges"}
		if p.Labels[plan.LabelManagedBy] == plan.ManagedBy { // the operator would undo a change of the pool
			f.Remedy = fmt.Sprintf("bind the addresses to the interface again, or put them into spec.exclude of network %s until no pod holds one; "+
				"the operator, or `kubectl underlay init --no-operator`, makes the pool anew", p.Spec.NetworkName)
		}
		at := slices.IndexFunc(n.Interfaces, func(nic v1alpha1.Interface) bool {
			return strings.EqualFold(nic.MACAddress, p.Spec.Interface.MACAddress)
		})
		if at < 0 {
			f.Message = fmt.Sprintf("node %s has no interface with the MAC address %s (%s): the VPC drops what pods send from the pool",
				n.Name, p.Spec.Interface.MACAddress, p.Spec.Interface.ID)
			out = append(out, f)
			continue
		}
		nic := &n.Interfaces[at]
		stray := iprange.Subtract(parse(p.Spec.Ranges), slices.Concat(bound(nic), parse(p.Spec.Exclude)))
		if len(stray) > 0 {
			f.Message = fmt.Sprintf("%s of the pool are not bound to its interface %s: %s; the VPC drops what pods send from there",
				addresses(stray), nic.ID, plan.SomeRanges(stray))
			out = append(out, f)
		}
	}
	return out
}

// bound is all that the cloud has bound to the interface for pods.
func bound(nic *v1alpha1.Interface) []iprange.Range {
	var out []iprange.Range
	for _, p := range slices.Concat(nic.IPv4Prefixes, nic.IPv6Prefixes) {
		out = append(out, iprange.FromPrefix(p))
	}
	for _, a := range slices.Concat(nic.SecondaryIPv4, nic.SecondaryIPv6) {
		out = append(out, iprange.Single(a))
	}
	return out
}

func addresses(ranges []iprange.Range) string {
	size := iprange.Size(ranges)
	if size >= iprange.MaxSize {
		return "very many addresses"
	}
	return plan.Count(int(size), "address")
}

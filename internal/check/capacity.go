// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of how many addresses there are, and can be.
const (
	idInstanceAtLimit       = "instance-at-limit"
	idManageNotBuilt        = "manage-not-built"
	idMoreAddressesThanPods = "more-addresses-than-pods"
	idMorePodsThanAddresses = "more-pods-than-addresses"
)

func capacityChecks() []Check {
	return []Check{
		{idInstanceAtLimit, "instances have room for more addresses and interfaces", plan.Info, instanceAtLimit},
		{idManageNotBuilt, "networks ask for what this version does", plan.Warning, manageNotBuilt},
		{idMoreAddressesThanPods, "addresses do not lie idle", plan.Info, eachCrowd(moreAddressesThanPods)},
		{idMorePodsThanAddresses, "a node has addresses for all pods that it takes", plan.Warning, eachCrowd(morePodsThanAddresses)},
	}
}

// crowd is how many pods of a default network a node takes, and how many addresses it has for them: of each family that
// it has pools of, since a pod needs one of each.
type crowd struct {
	node      *v1alpha1.Node
	nic       *v1alpha1.Interface
	addresses map[v1alpha1.IPFamily]int64
	// manual: no cloud binds the addresses, a user writes the pools.
	manual bool
}

// scarce is the family of which there are fewest, and how many.
func (c crowd) scarce() (v1alpha1.IPFamily, int64) {
	family, least := v1alpha1.IPv4, int64(iprange.MaxSize)
	for _, f := range []v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6} {
		if n, has := c.addresses[f]; has && n < least {
			family, least = f, n
		}
	}
	return family, least
}

// eachCrowd makes a check of default networks, each with the nodes of which it is known how many pods they take. Pods of
// other networks are few or many as their users want.
func eachCrowd(run func(nodes []crowd) *plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		var out []plan.Finding
		all := podCarriers(in)
		for _, network := range in.Plan.Networks {
			if !network.Spec.Default {
				continue
			}
			if f := run(crowds(all, &network)); f != nil {
				f.Object = "network/" + network.Name
				out = append(out, *f)
			}
		}
		return out
	}
}

func crowds(all []carrier, network *v1alpha1.UnderlayNetwork) []crowd {
	var out []crowd
	for _, c := range all {
		if c.network != network.Name || c.node.MaxPods == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(o crowd) bool { return o.node == c.node })
		if i < 0 {
			i = len(out)
			out = append(out, crowd{c.node, c.nic, map[v1alpha1.IPFamily]int64{}, network.Spec.Provider == v1alpha1.ProviderManual})
		}
		out[i].addresses[c.family] = min(out[i].addresses[c.family]+iprange.Size(c.pods), iprange.MaxSize)
	}
	return out
}

// manageNotBuilt says of networks whose operator shall assign prefixes that it does not yet.
func manageNotBuilt(in Inputs) []plan.Finding {
	var out []plan.Finding
	for _, n := range in.Plan.Networks {
		if n.Effective().Provisioning.Mode == v1alpha1.Manage {
			out = append(out, plan.Finding{ID: idManageNotBuilt, Severity: plan.Warning, Object: "network/" + n.Name,
				Message: "spec.provisioning.mode is Manage, and this version only observes: it assigns no prefix, and gives none back",
				Remedy:  "assign prefixes yourself (`aws ec2 assign-private-ip-addresses`), and set mode: Observe"})
		}
	}
	return out
}

func morePodsThanAddresses(nodes []crowd) *plan.Finding {
	var short []crowd
	var names []string
	for _, c := range nodes {
		if family, n := c.scarce(); n < int64(c.node.MaxPods) {
			short = append(short, c)
			names = append(names, fmt.Sprintf("%s (%s, %s)", c.node.Name, plan.Count(int(c.node.MaxPods), "pod"), plan.Count(int(n), string(family)+" address")))
		}
	}
	if len(short) == 0 {
		return nil
	}
	return &plan.Finding{ID: idMorePodsThanAddresses, Severity: plan.Warning,
		Message: fmt.Sprintf("more pods than addresses on %d of %s: %s; pods beyond wait for an address (those with hostNetwork need none)",
			len(short), plan.Count(len(nodes), "node"), plan.Some(names)),
		Remedy: short[0].more() + ", or lower maxPods in the kubelet's configuration, so that the scheduler looks for another node"}
}

// more says how to give the node the addresses that it lacks.
func (c crowd) more() string {
	family, n := c.scarce()
	switch {
	case c.manual:
		return "write more into spec.ranges of the nodes' pools"
	case family == v1alpha1.IPv6:
		return fmt.Sprintf("assign more (`aws ec2 assign-ipv6-addresses --network-interface-id %s --ipv6-prefix-count 1`)", c.nic.ID)
	}
	const perPrefix = 16
	lacking := (int64(c.node.MaxPods) - n + perPrefix - 1) / perPrefix
	return fmt.Sprintf("assign more (`aws ec2 assign-private-ip-addresses --network-interface-id %s --ipv4-prefix-count %d`)", c.nic.ID, lacking)
}

func moreAddressesThanPods(nodes []crowd) *plan.Finding {
	var names []string
	for _, c := range nodes {
		// Of IPv6 there are always more.
		if n := c.addresses[v1alpha1.IPv4]; n >= 2*int64(c.node.MaxPods) {
			names = append(names, fmt.Sprintf("%s (%s, %s)", c.node.Name, plan.Count(int(c.node.MaxPods), "pod"), plan.Count(int(n), "address")))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &plan.Finding{ID: idMoreAddressesThanPods, Severity: plan.Info,
		Message: fmt.Sprintf("at least twice as many IPv4 addresses as pods on %d of %s: %s", len(names), plan.Count(len(nodes), "node"), plan.Some(names)),
		Remedy:  "give those that other nodes could use back (prefixes in a cloud; spec.ranges of pools that you wrote), or raise maxPods in the kubelet's configuration"}
}

// instanceAtLimit looks at what EC2 lets an instance have, where the inventory says it of the type.
func instanceAtLimit(in Inputs) []plan.Finding {
	types := map[string]v1alpha1.InstanceType{}
	for _, t := range in.Inventory.InstanceTypes {
		types[t.Name] = t
	}
	var out []plan.Finding
	seen := map[string]bool{}
	for _, c := range podCarriers(in) {
		t, known := types[c.node.InstanceType]
		if seen[c.node.Name] || !known || t.IPv4PerInterface == 0 || t.MaximumInterfaces == 0 {
			continue
		}
		seen[c.node.Name] = true
		if f := atLimit(c.node, t); f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// atLimit counts slots: a slot of an interface holds one secondary address or one prefix, and the primary address takes one.
func atLimit(n *v1alpha1.Node, t v1alpha1.InstanceType) *plan.Finding {
	slots := int(t.IPv4PerInterface) - 1
	var full []string
	free, attached := 0, 0
	for i := range n.Interfaces {
		nic := &n.Interfaces[i]
		if nic.NetworkCardIndex == 0 {
			attached++
		}
		used := len(nic.SecondaryIPv4) + len(nic.IPv4Prefixes)
		if used >= slots && used > 0 {
			full = append(full, nic.ID)
		}
		free += max(0, slots-used)
	}
	more := max(0, int(t.MaximumInterfaces)-attached)
	if len(full) == 0 && more > 0 {
		return nil
	}
	f := &plan.Finding{ID: idInstanceAtLimit, Severity: plan.Info, Object: "node/" + n.Name}
	f.Message = fmt.Sprintf("%s has %d of %s that EC2 lets it have", t.Name, attached, plan.Count(int(t.MaximumInterfaces), "interface"))
	if len(full) > 0 {
		f.Message += fmt.Sprintf(", of which %s cannot take another prefix or address (%d each)", plan.Some(full), slots)
	}
	switch {
	case free == 0 && more == 0:
		f.Message += "; nothing is left for more IPv4 addresses"
		f.Remedy = "for more pods use more nodes, or a larger instance type"
		if holds := countSecondaries(n); holds > 0 {
			f.Remedy = fmt.Sprintf("%s in the place of a prefix each: use prefixes, of 16 addresses, or more nodes, or a larger instance type",
				plan.Count(holds, "secondary address"))
		}
	default:
		f.Message += fmt.Sprintf("; left are %s for prefixes or addresses, and %s", plan.Count(free, "place"), plan.Count(more, "interface"))
		f.Remedy = "nothing now; for more pods attach another interface, or use what is left on the others (`kubectl underlay inspect`)"
		if more == 0 {
			f.Remedy = "nothing now; for more pods use what is left on the interfaces, and then more nodes or a larger instance type"
		}
	}
	return f
}

func countSecondaries(n *v1alpha1.Node) int {
	count := 0
	for i := range n.Interfaces {
		count += len(n.Interfaces[i].SecondaryIPv4)
	}
	return count
}

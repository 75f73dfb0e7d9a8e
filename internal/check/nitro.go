// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// xenFamilies are the families whose virtual sizes run on Xen, by DescribeInstanceTypes (Hypervisor, BareMetal). AWS
// adds to none of them and makes no new ones, so the list is complete; families that AWS has withdrawn are left out.
func xenFamilies() []string {
	return []string{"c1", "c3", "c4", "d2", "h1", "i2", "i3", "m1", "m2", "m3", "m4", "r3", "r4", "t1", "t2", "x1", "x1e"}
}

// prefixNeedsNitro looks at instances that cannot have prefixes, but have them or need them.
func prefixNeedsNitro(in Inputs) []plan.Finding {
	if in.Inventory.Provider != v1alpha1.ProviderAWS {
		return nil
	}
	known := map[string]v1alpha1.InstanceType{}
	for _, t := range in.Inventory.InstanceTypes {
		known[t.Name] = t
	}
	pooled := map[string]bool{}
	for i := range in.Plan.Pools {
		pooled[in.Plan.Pools[i].Spec.NodeName] = true
	}
	wanted := slices.ContainsFunc(in.Plan.Networks, func(n v1alpha1.UnderlayNetwork) bool {
		return n.Effective().Provider == v1alpha1.ProviderAWS
	})
	var out []plan.Finding
	for i := range in.Inventory.Nodes {
		n := &in.Inventory.Nodes[i]
		if !onXen(n.InstanceType, known) {
			continue
		}
		f := plan.Finding{ID: idPrefixNeedsNitro, Object: "node/" + n.Name,
			Remedy: "move the node to a Nitro type (m5, c5, r5 or later) or to bare metal, or assign secondary addresses instead of prefixes"}
		switch prefixes := countPrefixes(n); {
		case prefixes > 0:
			f.Severity = plan.Error
			f.Message = fmt.Sprintf("the inventory has %s on the node's interfaces, but its type %s runs on Xen, to which EC2 delegates none",
				prefixWord(prefixes), n.InstanceType)
		case wanted && !pooled[n.Name] && isLinux(n) && len(n.Interfaces) > 0:
			f.Severity = plan.Warning
			f.Message = fmt.Sprintf("the node has no pool, and its type %s runs on Xen, to which EC2 delegates no prefixes: "+
				"only secondary addresses are possible", n.InstanceType)
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// onXen asks what EC2 said of the type, and else the list of families.
func onXen(instanceType string, known map[string]v1alpha1.InstanceType) bool {
	if t, ok := known[instanceType]; ok && (t.Hypervisor != "" || t.BareMetal) {
		return t.Hypervisor != "nitro" && !t.BareMetal
	}
	family, size, _ := strings.Cut(instanceType, ".")
	return slices.Contains(xenFamilies(), family) && !strings.HasPrefix(size, "metal")
}

func countPrefixes(n *v1alpha1.Node) int {
	count := 0
	for i := range n.Interfaces {
		count += len(n.Interfaces[i].IPv4Prefixes) + len(n.Interfaces[i].IPv6Prefixes)
	}
	return count
}

func prefixWord(n int) string {
	if n == 1 {
		return "1 prefix"
	}
	return fmt.Sprintf("%d prefixes", n)
}

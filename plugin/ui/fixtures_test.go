// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"fmt"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// walkthroughInventory has two nodes in two subnets, each with one interface that has a prefix of each family.
func walkthroughInventory() v1alpha1.Inventory {
	return v1alpha1.Inventory{
		Provider: v1alpha1.ProviderAWS,
		Subnets: []v1alpha1.Subnet{
			subnet("subnet-0c4e1f5a7b9d20001", "ap-southeast-1a", "172.31.16.0/20", "2406:da1e:c4:ed01::/64"),
			subnet("subnet-0c4e1f5a7b9d20002", "ap-southeast-1b", "172.31.32.0/24", "2406:da1e:c4:ed02::/64"),
		},
		Nodes: []v1alpha1.Node{
			{
				Name: "master", InstanceID: "i-0c4e1f5a7b9d20001", InstanceType: "m5.large", Kernel: "5.10.0-28-amd64",
				Interfaces: []v1alpha1.Interface{{
					ID: "eni-0c4e1f5a7b9d20001", MACAddress: "02:00:00:00:10:01", Name: "ens5",
					SubnetID: "subnet-0c4e1f5a7b9d20001", PrimaryIPv4: netip.MustParseAddr("172.31.18.11"),
					IPv4Prefixes: prefixes("172.31.28.16/28"), IPv6Prefixes: prefixes("2406:da1e:c4:ed01:c57d::/80"),
				}},
			},
			{
				Name: "worker1", InstanceID: "i-0c4e1f5a7b9d20002", InstanceType: "m5.large", Kernel: "5.10.0-28-amd64",
				Interfaces: []v1alpha1.Interface{{
					ID: "eni-0c4e1f5a7b9d20002", MACAddress: "02:00:00:00:20:01", Name: "ens5",
					SubnetID: "subnet-0c4e1f5a7b9d20002", PrimaryIPv4: netip.MustParseAddr("172.31.32.18"),
					IPv4Prefixes: prefixes("172.31.32.176/28"), IPv6Prefixes: prefixes("2406:da1e:c4:ed02:7a2e::/80"),
				}},
			},
		},
	}
}

// walkthroughPools are the four pools of the walkthrough, as planned: no operator has seen them.
func walkthroughPools() []v1alpha1.UnderlayPool {
	return []v1alpha1.UnderlayPool{
		pool("ens5", "worker1", 0, v1alpha1.IPv6, "2406:da1e:c4:ed02::/64", "fe80:ec2::1", "2406:da1e:c4:ed02:7a2e::/80"),
		pool("ens5", "worker1", 0, v1alpha1.IPv4, "172.31.32.0/24", "172.31.32.1", "172.31.32.176/28"),
		pool("ens5", "master", 0, v1alpha1.IPv6, "2406:da1e:c4:ed01::/64", "fe80:ec2::1", "2406:da1e:c4:ed01:c57d::/80"),
		pool("ens5", "master", 0, v1alpha1.IPv4, "172.31.16.0/20", "172.31.16.1", "172.31.28.16/28"),
	}
}

// observedPools are those of the walkthrough with an operator and a few pods.
func observedPools() []v1alpha1.UnderlayPool {
	pools := walkthroughPools()
	for i := range pools {
		observe(&pools[i], 2, 0)
	}
	observe(&pools[1], 3, 1)
	return pools
}

func walkthroughLink(_, mac string) string {
	if mac == "" {
		return ""
	}
	return "ens5"
}

// fleetInventory has three nodes with two interfaces each, dual stack, one of them without an instance.
func fleetInventory() v1alpha1.Inventory {
	inventory := v1alpha1.Inventory{
		Provider:  v1alpha1.ProviderAWS,
		OtherIPAM: []v1alpha1.OtherIPAM{v1alpha1.AWSVPCCNI},
	}
	for n := range 3 {
		node := v1alpha1.Node{
			Name:         fmt.Sprintf("ip-10-0-%d-10.eu-central-1.compute.internal", n),
			InstanceID:   fmt.Sprintf("i-0d1f2a3b4c5d6000%d", n),
			InstanceType: "m6i.xlarge", Kernel: "6.1.0-18-cloud-amd64",
		}
		for device := range 2 {
			s := subnet(fmt.Sprintf("subnet-0d1f2a3b4c5d600%d%d", n, device), fmt.Sprintf("eu-central-1%c", 'a'+n),
				fmt.Sprintf("10.%d.%d.0/24", device, n), fmt.Sprintf("2600:1f14:7a3:bc%d%d::/64", n, device))
			inventory.Subnets = append(inventory.Subnets, s)
			nic := v1alpha1.Interface{
				ID: fmt.Sprintf("eni-0d1f2a3b4c5d600%d%d", n, device), DeviceIndex: int32(device),
				MACAddress: fmt.Sprintf("02:00:00:00:%02d:%02d", n, device), Name: fmt.Sprintf("ens%d", 5+device),
				SubnetID: s.ID, PrimaryIPv4: netip.MustParseAddr(fmt.Sprintf("10.%d.%d.10", device, n)),
			}
			if device == 0 {
				nic.IPv4Prefixes = prefixes(fmt.Sprintf("10.0.%d.32/28", n), fmt.Sprintf("10.0.%d.16/28", n), fmt.Sprintf("10.0.%d.64/28", n))
				nic.IPv6Prefixes = prefixes(fmt.Sprintf("2600:1f14:7a3:bc%d0:a::/80", n))
				nic.PrimaryIPv6 = netip.MustParseAddr(fmt.Sprintf("2600:1f14:7a3:bc%d0::10", n))
			} else {
				nic.SecondaryIPv4 = addresses(fmt.Sprintf("10.1.%d.201", n), fmt.Sprintf("10.1.%d.200", n), fmt.Sprintf("10.1.%d.220", n))
				nic.Tags = map[string]string{v1alpha1.NoManageTag: "true"}
			}
			node.Interfaces = append(node.Interfaces, nic)
		}
		inventory.Nodes = append(inventory.Nodes, node)
	}
	inventory.Nodes = append(inventory.Nodes, v1alpha1.Node{Name: "edge-01", Kernel: "4.1.0"})
	return inventory
}

// fleetPools are in all states that a pool can be in.
func fleetPools() []v1alpha1.UnderlayPool {
	var pools []v1alpha1.UnderlayPool
	for n := range 3 {
		node := fmt.Sprintf("ip-10-0-%d-10.eu-central-1.compute.internal", n)
		v4 := pool("ens5", node, 0, v1alpha1.IPv4, fmt.Sprintf("10.0.%d.0/24", n), fmt.Sprintf("10.0.%d.1", n),
			fmt.Sprintf("10.0.%d.16/28", n), fmt.Sprintf("10.0.%d.32/28", n), fmt.Sprintf("10.0.%d.64/28", n))
		v6 := pool("ens5", node, 0, v1alpha1.IPv6, fmt.Sprintf("2600:1f14:7a3:bc%d0::/64", n), "fe80:ec2::1",
			fmt.Sprintf("2600:1f14:7a3:bc%d0:a::/80", n))
		second := pool("eni1", node, 1, v1alpha1.IPv4, fmt.Sprintf("10.1.%d.0/24", n), fmt.Sprintf("10.1.%d.1", n),
			fmt.Sprintf("10.1.%d.200-10.1.%d.201", n, n), fmt.Sprintf("10.1.%d.220", n))
		observe(&v4, []int64{7, 45, 0}[n], []int64{0, 2, 0}[n])
		observe(&v6, []int64{7, 45, 0}[n], 0)
		observe(&second, []int64{0, 3, 1}[n], 0)
		pools = append(pools, v4, v6, second)
	}
	pools[3].Spec.Draining = []v1alpha1.Range{"10.0.1.64/28"}
	pools[4].Status.Conditions = []metav1.Condition{{Type: "InSync", Status: metav1.ConditionFalse, Reason: "CloudDiffers"}}
	pools[5].Status.Conditions = []metav1.Condition{{Type: "Exhausted", Status: metav1.ConditionTrue}}
	pools[6].Spec.Allocation = v1alpha1.AllocationDisabled
	pools[7].Status.Conditions = []metav1.Condition{{Type: "Valid", Status: metav1.ConditionFalse, Reason: "Overlap"}}
	pools[8].Status = v1alpha1.UnderlayPoolStatus{}
	return pools
}

func fleetFindings() []plan.Finding {
	upgrade := "boot the node with kernel 4.2 or newer; Debian 12 has 6.1"
	return []plan.Finding{
		{
			ID: "provider-id-missing", Severity: plan.Info, Object: "node/edge-01",
			Message: "spec.providerID is empty, so load balancers cannot target the node's instance",
			Remedy:  "set it to aws:///ZONE/INSTANCE, as `kubectl underlay lb --fix` does",
		},
		{
			ID: "kernel-too-old", Severity: plan.Error, Object: "node/edge-02",
			Message: "kernel 3.10.0-1160.el7.x86_64 is older than 4.2, the first with a usable ipvlan", Remedy: upgrade,
		},
		{
			ID: "kernel-too-old", Severity: plan.Error, Object: "node/edge-01",
			Message: "kernel 4.1.0 is older than 4.2, the first with a usable ipvlan", Remedy: upgrade,
		},
		{
			ID: "interface-owned-by-other-ipam", Severity: plan.Warning,
			Object: "interface/eni-0d1f2a3b4c5d60000 (ip-10-0-0-10.eu-central-1.compute.internal)",
			Message: "aws-node manages this interface: it would hand out the same addresses, or detach it. " +
				"No pool is made from its 3 prefixes",
			Remedy: "tag the interface node.k8s.amazonaws.com/no_manage=true, or attach one of its own",
		},
		{
			ID: "prefix-not-on-interface", Severity: plan.Error, Object: "pool/ens5.0.v4.ip-10-0-1-10.eu-central-1.compute.internal",
			Message: "10.0.1.96/28 is on no interface of the node: AWS drops what its pods send",
			Remedy:  "remove the range from the pool, or assign the prefix to eni-0d1f2a3b4c5d60010",
		},
	}
}

// walkthroughChanges are what init would do on a cluster that has one old pool.
func walkthroughChanges() []plan.Change {
	const v = "underlay.dev/v1alpha1"
	return []plan.Change{
		{Action: plan.Create, APIVersion: v, Kind: "UnderlayNetwork", Name: "ens5"},
		{Action: plan.Create, APIVersion: v, Kind: "UnderlayPool", Name: "ens5.0.v4.master"},
		{Action: plan.Create, APIVersion: v, Kind: "UnderlayPool", Name: "ens5.0.v6.master"},
		{
			Action: plan.Update, APIVersion: v, Kind: "UnderlayPool", Name: "ens5.0.v4.worker1",
			Fields: []plan.FieldChange{
				{Path: "spec.gateway", Old: `"172.31.32.2"`, New: `"172.31.32.1"`},
				{Path: "spec.draining", New: `["172.31.32.64/28"]`},
				{
					Path: "spec.ranges",
					Old:  `["172.31.32.16/28","172.31.32.32/28","172.31.32.64/28","172.31.32.176/28"]`,
					New:  `["172.31.32.16/28","172.31.32.32/28","172.31.32.48/28","172.31.32.176/28"]`,
				},
			},
		},
		{Action: plan.Unchanged, APIVersion: v, Kind: "UnderlayPool", Name: "ens5.0.v6.worker1"},
		{Action: plan.Delete, APIVersion: v, Kind: "UnderlayPool", Name: "ens5.0.v4.worker0"},
		{
			Action: plan.Create, APIVersion: "k8s.cni.cncf.io/v1", Kind: "NetworkAttachmentDefinition",
			Namespace: "kube-system", Name: "ipvlan-ens5",
		},
	}
}

func manyChanges(n int) []plan.Change {
	changes := walkthroughChanges()
	for i := range n {
		name := fmt.Sprintf("ens5.0.v4.node-%05d", i)
		changes = append(changes, plan.Change{Action: plan.Create, Kind: "UnderlayPool", Name: name}, plan.Change{
			Action: plan.Update, Kind: "UnderlayPool", Name: name,
			Fields: []plan.FieldChange{{Path: "spec.gateway", Old: `"10.0.0.2"`, New: `"10.0.0.1"`}},
		})
	}
	return changes
}

func pool(network, node string, device int32, family v1alpha1.IPFamily, subnet, gateway string, ranges ...string) v1alpha1.UnderlayPool {
	short := map[v1alpha1.IPFamily]string{v1alpha1.IPv4: "v4", v1alpha1.IPv6: "v6"}[family]
	return v1alpha1.UnderlayPool{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s.%d.%s.%s", network, device, short, node)},
		Spec: v1alpha1.UnderlayPoolSpec{
			NetworkName: network, NodeName: node, IPFamily: family, Subnet: v1alpha1.CIDR(subnet),
			Gateway: v1alpha1.Address(gateway), Ranges: toRanges(ranges), Allocation: v1alpha1.AllocationEnabled,
			Interface: v1alpha1.PoolInterface{
				ID: "eni-0c4e1f5a7b9d20001", MACAddress: "02:00:00:00:10:01", DeviceIndex: device,
			},
		},
	}
}

// observe sets a pool's status as an operator would.
func observe(p *v1alpha1.UnderlayPool, used, cooling int64) {
	p.Status.Capacity = capacityOf(p)
	p.Status.Allocated, p.Status.Cooling = used, cooling
	p.Status.Available = p.Status.Capacity - used - cooling
}

func subnet(id, zone, v4, v6 string) v1alpha1.Subnet {
	return v1alpha1.Subnet{ID: id, Zone: zone, CIDR: netip.MustParsePrefix(v4), IPv6CIDR: netip.MustParsePrefix(v6)}
}

func prefixes(texts ...string) []netip.Prefix {
	values := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		values[i] = netip.MustParsePrefix(text)
	}
	return values
}

func addresses(texts ...string) []netip.Addr {
	values := make([]netip.Addr, len(texts))
	for i, text := range texts {
		values[i] = netip.MustParseAddr(text)
	}
	return values
}

func toRanges(texts []string) []v1alpha1.Range {
	ranges := make([]v1alpha1.Range, len(texts))
	for i, text := range texts {
		ranges[i] = v1alpha1.Range(text)
	}
	return ranges
}

// wellStatus is the walkthrough's, as it should be.
func wellStatus() Status {
	const image = "ghcr.io/underlay-dev/kubectl-underlay:v0.1.0"
	return Status{
		Operator: &Workload{Ready: 2, Desired: 2, Image: image, Version: "v0.1.0", Leader: "master"},
		Agents:   &Workload{Ready: 2, Desired: 2, Image: image, Version: "v0.1.0"},
		Networks: []NetworkStatus{{Name: "ens5", Ready: "True", Default: true, Nodes: 2, Usage: []FamilyUse{
			{v1alpha1.IPv4, 2, 32, 3, 29}, {v1alpha1.IPv6, 2, 562949953421312, 3, 562949953421309},
		}}},
	}
}

// fleetStatus has an operator without a stand-by, an agent less, and networks in every state.
func fleetStatus() Status {
	st := wellStatus()
	st.Operator.Ready, st.Agents.Ready, st.Agents.Desired = 1, 2999, 3000
	st.Networks = append(st.Networks,
		NetworkStatus{Name: "storage-of-the-second-interfaces", Ready: "False", Nodes: 3000, Usage: []FamilyUse{{v1alpha1.IPv4, 3000, 48000, 48000, 0}}},
		NetworkStatus{Name: "yet-to-come", Ready: "Unknown"},
		NetworkStatus{Name: "uncounted", Ready: "Unknown", Nodes: 1, Usage: []FamilyUse{{Family: v1alpha1.IPv6, Pools: 1}}},
	)
	st.Findings = fleetFindings()
	return st
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"cmp"
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Join gives each node its instance with its interfaces, and keeps the VPCs that these are in, all their subnets, and
// the instance types in use. What else a node carries is kept.
//
// A providerID of AWS decides alone: when no such instance exists, the node has none, whatever its address. Otherwise
// the instance is the only one that holds all of the node's internalIPs that any instance holds, and that no other
// node has; see Match.
//
// An IPv6 address of an interface which the cloud does not call primary is the node's own when it is one of the node's
// internalIPs, else when it is the interface's first: that is the one which the host takes by DHCPv6, and what the
// host holds must not be a pod's. The others are for pods.
func Join(nodes []v1alpha1.Node, snap Snapshot) v1alpha1.Inventory {
	instances := make(map[string]Instance, len(snap.Instances))
	for _, instance := range snap.Instances {
		instances[instance.ID] = instance
	}
	matched := Match(nodes, snap.Instances)

	inv := v1alpha1.Inventory{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.InventoryKind},
		Provider: v1alpha1.ProviderAWS,
		Nodes:    slices.Clone(nodes),
	}
	var joined []Instance
	for i := range inv.Nodes {
		node := &inv.Nodes[i]
		instance := instances[matched[i]]
		node.InstanceID, node.InstanceType = instance.ID, instance.Type
		node.Interfaces = ownInterfaces(instance.Interfaces, node.InternalIPs)
		if instance.ID != "" {
			joined = append(joined, instance)
		}
	}
	slices.SortStableFunc(inv.Nodes, func(a, b v1alpha1.Node) int { return cmp.Compare(a.Name, b.Name) })
	keepUsed(&inv, snap, joined)
	return inv
}

// keepUsed copies from the snapshot what the instances use, sorted.
func keepUsed(inv *v1alpha1.Inventory, snap Snapshot, instances []Instance) {
	vpcOf := make(map[string]string, len(snap.Subnets))
	for _, subnet := range snap.Subnets {
		vpcOf[subnet.ID] = subnet.VPCID
	}
	vpcs, types := map[string]bool{}, map[string]bool{}
	for _, instance := range instances {
		vpcs[instance.VPCID] = true
		types[instance.Type] = true
		for _, nic := range instance.Interfaces {
			vpcs[vpcOf[nic.SubnetID]] = true
		}
	}
	inv.VPCs = used(snap.VPCs, vpcs, func(v v1alpha1.VPC) string { return v.ID }, nil)
	inv.Subnets = used(snap.Subnets, vpcs, func(s v1alpha1.Subnet) string { return s.VPCID },
		func(a, b v1alpha1.Subnet) int { return cmp.Compare(a.ID, b.ID) })
	inv.InstanceTypes = used(snap.InstanceTypes, types, func(t v1alpha1.InstanceType) string { return t.Name }, nil)
}

// used filters items whose key is in keys, sorted by compare, or else by key.
func used[T any](items []T, keys map[string]bool, key func(T) string, compare func(a, b T) int) []T {
	if compare == nil {
		compare = func(a, b T) int { return cmp.Compare(key(a), key(b)) }
	}
	out := slices.DeleteFunc(slices.Clone(items), func(item T) bool { return !keys[key(item)] })
	slices.SortFunc(out, compare)
	return out
}

// ownInterfaces copies interfaces, sorted, with the node's own IPv6 address told apart from those for pods.
func ownInterfaces(interfaces []v1alpha1.Interface, internalIPs []netip.Addr) []v1alpha1.Interface {
	out := slices.Clone(interfaces)
	for i := range out {
		nic := &out[i]
		six := slices.Clone(nic.SecondaryIPv6)
		if !nic.PrimaryIPv6.IsValid() && len(six) > 0 {
			own := max(0, slices.IndexFunc(six, func(a netip.Addr) bool { return slices.Contains(internalIPs, a) }))
			nic.PrimaryIPv6 = six[own]
			six = slices.Delete(six, own, own+1)
		}
		slices.SortFunc(six, netip.Addr.Compare)
		nic.SecondaryIPv6 = six
		nic.SecondaryIPv4 = slices.SortedFunc(slices.Values(nic.SecondaryIPv4), netip.Addr.Compare)
		nic.IPv4Prefixes = slices.SortedFunc(slices.Values(nic.IPv4Prefixes), netip.Prefix.Compare)
		nic.IPv6Prefixes = slices.SortedFunc(slices.Values(nic.IPv6Prefixes), netip.Prefix.Compare)
		nic.SecurityGroups = slices.Sorted(slices.Values(nic.SecurityGroups))
	}
	slices.SortFunc(out, CompareInterfaces)
	return out
}

// CompareInterfaces orders interfaces by card, device index and id.
func CompareInterfaces(a, b v1alpha1.Interface) int {
	return cmp.Or(cmp.Compare(a.NetworkCardIndex, b.NetworkCardIndex), cmp.Compare(a.DeviceIndex, b.DeviceIndex),
		cmp.Compare(a.ID, b.ID))
}

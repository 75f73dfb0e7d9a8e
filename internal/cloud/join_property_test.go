// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// TestJoinIsCertain joins small worlds full of clashes: no instance has two nodes, every instance found has the node's
// providerID or one of its addresses, and the order of the input does not matter.
func TestJoinIsCertain(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2"}).Draw(t, "address")
	})
	rapid.Check(t, func(t *rapid.T) {
		var instances []cloud.Instance
		for i := range rapid.IntRange(0, 4).Draw(t, "instances") {
			instances = append(instances, instance(fmt.Sprintf("i-%d", i), rapid.SliceOfN(address, 1, 3).Draw(t, "holds")...))
		}
		var nodes []v1alpha1.Node
		for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
			nodes = append(nodes, v1alpha1.Node{
				Name:        fmt.Sprintf("n%d", i),
				ProviderID:  rapid.SampledFrom([]string{"", "", "aws:///z/i-0", "aws:///z/i-1", "aws:///z/i-9"}).Draw(t, "providerID"),
				InternalIPs: addrs(rapid.SliceOfN(address, 0, 2).Draw(t, "internalIPs")...),
			})
		}
		inv := cloud.Join(nodes, cloud.Snapshot{Instances: instances})
		owner := map[string]string{}
		for _, node := range inv.Nodes {
			if node.InstanceID == "" {
				continue
			}
			if owner[node.InstanceID] != "" {
				t.Fatalf("%s and %s are both %s", owner[node.InstanceID], node.Name, node.InstanceID)
			}
			owner[node.InstanceID] = node.Name
			if node.ProviderID != "" && node.ProviderID != "aws:///z/"+node.InstanceID || node.ProviderID == "" && !holdsAny(node) {
				t.Fatalf("%s with providerID %q and addresses %v is %s", node.Name, node.ProviderID, node.InternalIPs, node.InstanceID)
			}
		}
		shuffled := cloud.Join(rapid.Permutation(nodes).Draw(t, "order"), cloud.Snapshot{Instances: rapid.Permutation(instances).Draw(t, "order")})
		if diff := cmp.Diff(inv, shuffled, options()); diff != "" {
			t.Fatalf("another order gives another inventory:\n%s", diff)
		}
	})
}

func holdsAny(node v1alpha1.Node) bool {
	return slices.ContainsFunc(node.Interfaces, func(nic v1alpha1.Interface) bool {
		held := slices.Concat(nic.SecondaryIPv4, nic.SecondaryIPv6, []netip.Addr{nic.PrimaryIPv4, nic.PrimaryIPv6})
		return slices.ContainsFunc(node.InternalIPs, func(addr netip.Addr) bool { return slices.Contains(held, addr) })
	})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestManualInventory: what a user has written becomes a network and pools that are his own.
func TestManualInventory(t *testing.T) {
	p, findings := For(Inputs{Inventory: example(t, "bare-metal"), Propose: true})
	if len(findings) > 0 {
		t.Errorf("findings: %+v", findings)
	}
	golden(t, "bare-metal.yaml", asYAML(t, p.Objects()))
}

// TestManualGateway: a subnet must say it, for each family that has addresses.
func TestManualGateway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*v1alpha1.Subnet)
		want   []string // pools of the first node, and findings
	}{
		{"both", func(*v1alpha1.Subnet) {}, []string{"eth1.1.v4.rack1-a", "eth1.1.v6.rack1-a"}},
		{"none", func(s *v1alpha1.Subnet) { s.Gateway = netipAddr{} }, []string{"eth1.1.v6.rack1-a",
			"subnet-without-gateway it has no IPv4 gateway inside it, so there is no pool for the IPv4 addresses of 1 interface"}},
		{"outside", func(s *v1alpha1.Subnet) { s.IPv6Gateway = addr("fd00:21::1") }, []string{"eth1.1.v4.rack1-a",
			"subnet-without-gateway it has no IPv6 gateway inside it, so there is no pool for the IPv6 addresses of 1 interface"}},
		{"of the other family", func(s *v1alpha1.Subnet) { s.Gateway = addr("fd00:20::1") }, []string{"eth1.1.v6.rack1-a",
			"subnet-without-gateway it has no IPv4 gateway inside it, so there is no pool for the IPv4 addresses of 1 interface"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inv := example(t, "bare-metal")
			inv.Nodes = inv.Nodes[:1]
			tt.change(&inv.Subnets[0])
			p, findings := For(Inputs{Inventory: inv, Propose: true})
			var got []string
			for _, pool := range p.Pools {
				got = append(got, pool.Name)
			}
			for _, f := range findings {
				got = append(got, f.ID+" "+f.Message)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestReservedAddresses of a subnet that a Manual pool leaves out.
func TestReservedAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, cidr, gateway string
		want                []v1alpha1.Range
	}{
		{"a whole subnet", "10.20.0.0/28", "10.20.0.14", []v1alpha1.Range{"10.20.0.0", "10.20.0.14/31"}},
		{"two hosts", "10.20.0.0/31", "10.20.0.0", []v1alpha1.Range{"10.20.0.0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inv := example(t, "bare-metal")
			inv.Nodes = inv.Nodes[:1]
			inv.Subnets[0].CIDR, inv.Subnets[0].Gateway = prefix(tt.cidr), addr(tt.gateway)
			nic := &inv.Nodes[0].Interfaces[0]
			nic.PrimaryIPv4, nic.Ranges = netipAddr{}, []string{tt.cidr}
			p, findings := For(Inputs{Inventory: inv, Propose: true})
			if len(p.Pools) != 1 || len(findings) > 0 {
				t.Fatalf("pools %+v, findings %+v", p.Pools, findings)
			}
			if d := cmp.Diff(tt.want, p.Pools[0].Spec.Exclude); d != "" {
				t.Error(d)
			}
		})
	}
}

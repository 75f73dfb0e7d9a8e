// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// subnet has what a pool takes from its interface's subnet, once for all pools.
type subnet struct {
	id       string
	families [families]subnetFamily
}

type subnetFamily struct {
	// network is invalid if the subnet does not have the family.
	network  iprange.Range
	cidr     v1alpha1.CIDR
	gateway  v1alpha1.Address
	reserved []iprange.Range
}

// awsIPv6Gateway answers in every subnet of AWS.
const awsIPv6Gateway = "fe80:ec2::1"

func (v *view) subnets(in []v1alpha1.Subnet) map[string]*subnet {
	out := make(map[string]*subnet, len(in))
	first := make(map[string]v1alpha1.Subnet, len(in))
	var doubled []string
	for _, s := range in {
		if other, ok := first[s.ID]; ok {
			if !sameSubnet(other, s) && !slices.Contains(doubled, s.ID) {
				doubled = append(doubled, s.ID)
			}
			continue
		}
		first[s.ID] = s
		out[s.ID] = newSubnet(s)
		if v.manual {
			out[s.ID] = manualSubnet(s)
		}
	}
	for _, id := range doubled {
		delete(out, id)
		v.findings = append(v.findings, Finding{ID: IDDuplicateInInventory, Severity: Error, Object: "subnet/" + id,
			Message: "the inventory has this subnet more than once, with different contents: none of them is used",
			Remedy:  "keep the one that exists, and remove the others from the inventory"})
	}
	return out
}

// sameSubnet says whether two of one id agree in what a plan depends on. How much is free may differ.
func sameSubnet(a, b v1alpha1.Subnet) bool {
	return a.VPCID == b.VPCID && a.Zone == b.Zone && a.CIDR == b.CIDR && a.IPv6CIDR == b.IPv6CIDR &&
		a.Gateway == b.Gateway && a.IPv6Gateway == b.IPv6Gateway
}

func newSubnet(s v1alpha1.Subnet) *subnet {
	out := &subnet{id: s.ID}
	for fam, cidr := range [...]netip.Prefix{s.CIDR, s.IPv6CIDR} {
		network := iprange.FromPrefix(cidr)
		if !network.IsValid() || network.Is4() != (family(fam) == v4) {
			continue
		}
		f := subnetFamily{network: network, cidr: v1alpha1.CIDR(cidr.Masked().String()), gateway: awsIPv6Gateway}
		if family(fam) == v4 {
			f.gateway = v1alpha1.Address(network.FirstN(2).Last.String()) // base+1
		}
		// AWS keeps the first four and the last address of each subnet, in both families.
		f.reserved = iprange.Merge([]iprange.Range{network.FirstN(4), iprange.Single(network.Last)})
		out.families[fam] = f
	}
	return out
}

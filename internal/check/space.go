// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/vpc"
)

const idSubnetShortOfPrefixes = "subnet-short-of-prefixes"

func spaceChecks() []Check {
	return []Check{
		{idSubnetShortOfPrefixes, "subnets have room for another prefix on each interface", plan.Warning, subnetShortOfPrefixes},
	}
}

// blockBits is the length of an IPv4 prefix that EC2 delegates.
const blockBits = 28

// subnetShortOfPrefixes counts the /28s that can still be free in a subnet, at most: what holds addresses beside the nodes
// (load balancers, endpoints, other instances) is known by number alone.
func subnetShortOfPrefixes(in Inputs) []plan.Finding {
	around := vpc.Of(&in.Inventory)
	var out []plan.Finding
	for _, s := range subnetsOf(in, podCarriers(in)) {
		pods := slices.DeleteFunc(s.with(v1alpha1.IPv4), func(c carrier) bool { return len(c.nic.IPv4Prefixes) == 0 })
		if len(pods) == 0 || !s.CIDR.IsValid() || s.CIDR.Bits() > blockBits {
			continue
		}
		room := roomIn(s.Subnet, in.Inventory.Nodes, around)
		wanted := nicCount(pods)
		if room.blocks >= wanted {
			continue
		}
		f := plan.Finding{ID: idSubnetShortOfPrefixes, Severity: plan.Warning, Object: "subnet/" + s.ID}
		left := "no free /28"
		if room.blocks > 0 {
			left = "at most " + plan.Count(room.blocks, "free /28")
		}
		f.Message = fmt.Sprintf("%s has %s left", s.CIDR, left)
		if s.AvailableIPv4 != nil {
			f.Message += fmt.Sprintf(" (free addresses: %d", *s.AvailableIPv4)
			if int(*s.AvailableIPv4) >= 16*(room.blocks+1) {
				f.Message += ", scattered: a prefix needs 16 in a row"
			}
			f.Message += ")"
		}
		f.Message += fmt.Sprintf("; prefixes of it are on %s with pods", plan.Count(wanted, "interface"))
		f.Remedy = "use further subnets for more nodes and interfaces; addresses of a subnet cannot be moved together"
		if room.reserve.IsValid() {
			f.Remedy = fmt.Sprintf("keep what is left for prefixes: `aws ec2 create-subnet-cidr-reservation --subnet-id %s --reservation-type prefix --cidr %s`; "+
				"then use further subnets", s.ID, room.reserve)
		}
		out = append(out, f)
	}
	return out
}

// room is what a subnet has left for prefixes.
type room struct {
	// blocks is how many /28 are free at most.
	blocks int
	// reserve is a network without any known address that is worth a reservation; invalid where one exists, or none is left.
	reserve netip.Prefix
}

func roomIn(subnet v1alpha1.Subnet, nodes []v1alpha1.Node, around vpc.Surroundings) room {
	taken := takenIn(subnet, nodes)
	reserved := false
	for _, r := range around.SubnetCIDRReservations {
		if r.SubnetID != subnet.ID || !r.CIDR.IsValid() || !r.CIDR.Addr().Is4() {
			continue
		}
		reserved = true
		if r.Type == "explicit" {
			taken = append(taken, iprange.FromPrefix(r.CIDR)) // who wants these has to name them
		}
	}
	taken = iprange.Merge(taken)
	var out room
	for _, gap := range iprange.Subtract([]iprange.Range{iprange.FromPrefix(subnet.CIDR)}, taken) {
		for _, block := range aligned(gap) {
			out.blocks += 1 << (blockBits - block.Bits())
			if !reserved && (!out.reserve.IsValid() || block.Bits() < out.reserve.Bits()) {
				out.reserve = block
			}
		}
	}
	if subnet.AvailableIPv4 != nil {
		out.blocks = min(out.blocks, int(*subnet.AvailableIPv4)/16)
	}
	if out.blocks == 0 {
		out.reserve = netip.Prefix{}
	}
	return out
}

// takenIn are the addresses of a subnet that are known to be taken: AWS's own, and those of the nodes' interfaces.
func takenIn(subnet v1alpha1.Subnet, nodes []v1alpha1.Node) []iprange.Range {
	whole := iprange.FromPrefix(subnet.CIDR)
	fourth := whole.First.Next().Next().Next()
	taken := []iprange.Range{{First: whole.First, Last: fourth}, iprange.Single(whole.Last)}
	for i := range nodes {
		for j := range nodes[i].Interfaces {
			if nic := &nodes[i].Interfaces[j]; nic.SubnetID == subnet.ID {
				taken = append(taken, iprange.Single(nic.PrimaryIPv4))
				taken = append(taken, bound(nic)...)
			}
		}
	}
	return slices.DeleteFunc(taken, func(r iprange.Range) bool { return !r.IsValid() || !r.Is4() })
}

// aligned are the networks of /28 or larger that a range has whole, as few as can be.
func aligned(r iprange.Range) []netip.Prefix {
	var out []netip.Prefix
	for first := r.First; first.IsValid() && !r.Last.Less(first); {
		bits := 0
		for ; bits <= blockBits; bits++ {
			p := netip.PrefixFrom(first, bits)
			if p.Masked() == p && !r.Last.Less(iprange.FromPrefix(p).Last) {
				break
			}
		}
		if bits > blockBits { // the next multiple of 16
			p := netip.PrefixFrom(first, blockBits).Masked()
			first = iprange.FromPrefix(p).Last.Next()
			continue
		}
		p := netip.PrefixFrom(first, bits)
		out = append(out, p)
		first = iprange.FromPrefix(p).Last.Next()
	}
	return out
}

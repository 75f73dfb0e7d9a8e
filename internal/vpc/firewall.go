// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package vpc

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// Traffic is a kind of packets. The zero value is any packet.
type Traffic struct {
	// Protocol is tcp or udp; empty for any.
	Protocol string
	// First and Last destination port; both zero for any.
	First, Last int
}

// End is one end of a conversation as firewalls see it: an interface's groups and its addresses of one family.
type End struct {
	Groups    []string
	Addresses []iprange.Range
}

// SecurityGroup of interfaces. It lets answers through by itself.
type SecurityGroup struct {
	ID string `json:"GroupId"`
	// Ingress and Egress are nil where the item does not list them.
	Ingress []Permission `json:"IpPermissions"`
	Egress  []Permission `json:"IpPermissionsEgress"`
}

// Permission lets some traffic through; what no permission names is dropped.
type Permission struct {
	// Protocol is a name or a number; -1 for all.
	Protocol string `json:"IpProtocol"`
	// FromPort and ToPort are absent for all, and types for ICMP.
	FromPort *int `json:"FromPort"`
	ToPort   *int `json:"ToPort"`
	IPv4     []struct {
		CIDR Prefix `json:"CidrIp"`
	} `json:"IpRanges"`
	IPv6 []struct {
		CIDR Prefix `json:"CidrIpv6"`
	} `json:"Ipv6Ranges"`
	PrefixLists []struct {
		ID string `json:"PrefixListId"`
	} `json:"PrefixListIds"`
	Groups []struct {
		ID string `json:"GroupId"`
	} `json:"UserIdGroupPairs"`
}

// Groups are the security groups of these ids; known is false if one is missing or incomplete, or there is none.
func (s Surroundings) Groups(ids []string) (groups []SecurityGroup, known bool) {
	for _, id := range ids {
		i := slices.IndexFunc(s.SecurityGroups, func(g SecurityGroup) bool { return g.ID == id })
		if i < 0 || s.SecurityGroups[i].Ingress == nil || s.SecurityGroups[i].Egress == nil {
			return nil, false
		}
		groups = append(groups, s.SecurityGroups[i])
	}
	return groups, len(groups) > 0
}

// LetIn says whether a group may let such traffic in from the other end.
func LetIn(groups []SecurityGroup, traffic Traffic, from End) bool {
	return slices.ContainsFunc(groups, func(g SecurityGroup) bool { return permit(g.Ingress, traffic, from) })
}

// LetOut says whether a group may let such traffic out to the other end.
func LetOut(groups []SecurityGroup, traffic Traffic, to End) bool {
	return slices.ContainsFunc(groups, func(g SecurityGroup) bool { return permit(g.Egress, traffic, to) })
}

func permit(permissions []Permission, traffic Traffic, other End) bool {
	return slices.ContainsFunc(permissions, func(p Permission) bool { return p.covers(traffic) && p.names(other) })
}

func (p Permission) covers(traffic Traffic) bool {
	if p.Protocol == "-1" {
		return true
	}
	var first, last int
	if p.FromPort != nil && p.ToPort != nil {
		first, last = *p.FromPort, *p.ToPort
	}
	return traffic.meets(p.Protocol, first, last)
}

// names says whether the permission may be about the other end.
func (p Permission) names(other End) bool {
	if len(p.PrefixLists) > 0 {
		return true // which addresses it has is not known
	}
	for _, g := range p.Groups {
		if slices.Contains(other.Groups, g.ID) {
			return true
		}
	}
	for _, r := range p.IPv4 {
		if len(within(other.Addresses, r.CIDR)) > 0 {
			return true
		}
	}
	for _, r := range p.IPv6 {
		if len(within(other.Addresses, r.CIDR)) > 0 {
			return true
		}
	}
	return false
}

// meets says whether traffic and a rule of this protocol and ports (0 to 0: all) have packets in common.
func (t Traffic) meets(protocol string, first, last int) bool {
	if t.Protocol == "" {
		return true
	}
	if protocol != t.Protocol && protocol != number(t.Protocol) {
		return false
	}
	return t.Last == 0 || last <= 0 || t.First <= last && first <= t.Last
}

// within says whether a rule of this protocol and ports has all packets of the traffic.
func (t Traffic) within(protocol string, first, last int) bool {
	if protocol == "-1" {
		return true
	}
	if t.Protocol == "" || protocol != t.Protocol && protocol != number(t.Protocol) {
		return false
	}
	return last <= 0 || t.Last != 0 && first <= t.First && t.Last <= last
}

// number of a protocol, as network ACLs have it.
func number(protocol string) string {
	return map[string]string{"tcp": "6", "udp": "17"}[protocol]
}

// within are the parts of ranges that are in a network.
func within(ranges []iprange.Range, cidr netip.Prefix) []iprange.Range {
	if !cidr.IsValid() {
		return nil
	}
	return iprange.Shared(ranges, []iprange.Range{iprange.FromPrefix(cidr.Masked())})
}

// NetworkACL of subnets. It is stateless: answers need an entry too.
type NetworkACL struct {
	ID           string `json:"NetworkAclId"`
	VPCID        string `json:"VpcId"`
	Associations []struct {
		SubnetID string `json:"SubnetId"`
	} `json:"Associations"`
	// Entries is nil where the item does not list them.
	Entries []ACLEntry `json:"Entries"`
}

// ACLEntry allows or denies; of those that match a packet the lowest number counts.
type ACLEntry struct {
	Number int    `json:"RuleNumber"`
	Egress bool   `json:"Egress"`
	Action string `json:"RuleAction"`
	// Protocol is a number; -1 for all.
	Protocol string `json:"Protocol"`
	IPv4     Prefix `json:"CidrBlock"`
	IPv6     Prefix `json:"Ipv6CidrBlock"`
	Ports    *struct {
		From int `json:"From"`
		To   int `json:"To"`
	} `json:"PortRange"`
}

// ACLOf is the network ACL of a subnet; nil if unknown.
func (s Surroundings) ACLOf(subnet string) *NetworkACL {
	for i := range s.NetworkACLs {
		for _, a := range s.NetworkACLs[i].Associations {
			if a.SubnetID == subnet && s.NetworkACLs[i].Entries != nil {
				return &s.NetworkACLs[i]
			}
		}
	}
	return nil
}

// Lets says whether the ACL may let such traffic out to, or in from, one of the addresses. Entries that deny some of the
// addresses add up; of protocols and ports they do not: only one that denies all of the traffic counts.
func (a *NetworkACL) Lets(egress bool, traffic Traffic, other []iprange.Range) bool {
	entries := slices.DeleteFunc(slices.Clone(a.Entries), func(e ACLEntry) bool { return e.Egress != egress })
	slices.SortStableFunc(entries, func(a, b ACLEntry) int { return a.Number - b.Number })
	for i, e := range entries {
		if e.Action != "allow" || !e.meets(traffic) {
			continue
		}
		left := e.among(other)
		common := e.common(traffic)
		for _, before := range entries[:i] {
			if before.Action == "deny" && before.has(common) {
				left = iprange.Subtract(left, before.among(left))
			}
		}
		if len(left) > 0 {
			return true
		}
	}
	return false
}

func (e ACLEntry) among(ranges []iprange.Range) []iprange.Range {
	return append(within(ranges, e.IPv4), within(ranges, e.IPv6)...)
}

func (e ACLEntry) ports() (first, last int) {
	if e.Ports == nil {
		return 0, 0
	}
	return e.Ports.From, e.Ports.To
}

func (e ACLEntry) meets(traffic Traffic) bool {
	first, last := e.ports()
	return e.Protocol == "-1" || traffic.meets(e.Protocol, first, last)
}

func (e ACLEntry) has(traffic Traffic) bool {
	first, last := e.ports()
	return traffic.within(e.Protocol, first, last)
}

// common is what of the traffic the entry is about; a protocol without a name of ours keeps its number.
func (e ACLEntry) common(traffic Traffic) Traffic {
	if e.Protocol == "-1" {
		return traffic
	}
	out := Traffic{Protocol: e.Protocol, First: traffic.First, Last: traffic.Last}
	for _, name := range []string{"tcp", "udp"} {
		if number(name) == e.Protocol {
			out.Protocol = name
		}
	}
	if first, last := e.ports(); last > 0 {
		if out.Last == 0 {
			out.First, out.Last = first, last
		} else {
			out.First, out.Last = max(out.First, first), min(out.Last, last)
		}
	}
	return out
}

// PortRange prints the ports of traffic.
func (t Traffic) PortRange() string {
	if t.First == t.Last {
		return strconv.Itoa(t.First)
	}
	return strconv.Itoa(t.First) + "-" + strconv.Itoa(t.Last)
}

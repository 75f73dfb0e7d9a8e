// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// maxRanges in each list of a pool, as the API has it.
const maxRanges = 128

// Validate checks all that the CNI relies on; the error is an *InvalidError that lists every problem.
func (f *File) Validate() error {
	v := &validator{}
	if f.Version != Version {
		v.add("version must be %d, not %d", Version, f.Version)
	}
	v.node(f.Node)
	v.networks(f.Networks)
	for i := range f.Pools {
		v.pool(f, &f.Pools[i])
	}
	v.duplicates(f.Pools)
	v.interfaces(f.Pools)
	v.overlaps(f)
	if len(v.problems) > 0 {
		return &InvalidError{Problems: v.problems}
	}
	return nil
}

// validator collects problems.
type validator struct {
	problems []string
}

func (v *validator) add(format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

func (v *validator) node(n Node) {
	if !isSubdomain(n.Name) {
		v.add("node.name %q must be the name of a Node", n.Name)
	}
	for _, a := range n.Addresses {
		if !isUnicast(a) {
			v.add("node.addresses: %s must be an address that a node can have, without zone", a)
		}
	}
}

func (v *validator) networks(networks []Network) {
	names := map[string]bool{}
	var defaults []string
	for i := range networks {
		n := &networks[i]
		if names[n.Name] {
			v.add("network %s appears twice", n.Name)
		}
		names[n.Name] = true
		if n.Default {
			defaults = append(defaults, n.Name)
		}
		v.network(n)
	}
	if len(defaults) > 1 {
		v.add("networks %s are all default: one at most may be", strings.Join(defaults, ", "))
	}
}

func (v *validator) network(n *Network) {
	name := "network " + n.Name
	if !isLabel(n.Name) || len(n.Name) > 40 {
		v.add("network %q: the name must be a DNS label of at most 40 characters", n.Name)
		return
	}
	if n.MTU != 0 && (n.MTU < 1280 || n.MTU > 9216) {
		v.add("%s: mtu %d must be 0 (the interface's own) or from 1280 to 9216", name, n.MTU)
	}
	if n.CooldownSeconds < 0 || n.CooldownSeconds > 3600 {
		v.add("%s: cooldownSeconds %d must be from 0 to 3600", name, n.CooldownSeconds)
	}
	v.routes(name, n)
	if n.RequestedIPs != RequestedIPsDeny && n.RequestedIPs != RequestedIPsAllow {
		v.add("%s: requestedIPs %q must be Deny or Allow", name, n.RequestedIPs)
	}
	if m := n.MetadataService.Mode; m != MetadataBlock && m != MetadataAllow {
		v.add("%s: metadataService.mode %q must be Block or Allow", name, m)
	}
	for _, namespace := range slices.Concat(n.AllowedNamespaces, n.MetadataService.ExceptNamespaces) {
		if !isLabel(namespace) {
			v.add("%s: %q must be the name of a namespace", name, namespace)
		}
	}
}

// routes are those of the pod: by its host leg, and by its interface.
func (v *validator) routes(name string, n *Network) {
	for _, p := range n.HostLeg.CIDRs {
		if !isNetwork(p) {
			v.add("%s: hostLeg.cidrs: %s must be a CIDR without host bits", name, p)
		}
	}
	for _, r := range n.Routes {
		switch {
		case !isNetwork(r.Destination):
			v.add("%s: routes: destination %s must be a CIDR without host bits", name, r.Destination)
		case !isUnicast(r.Gateway) || r.Gateway.BitLen() != r.Destination.Addr().BitLen():
			v.add("%s: routes: gateway %s of %s must be an address of the same family", name, r.Gateway, r.Destination)
		}
	}
}

func (v *validator) pool(f *File, p *Pool) {
	if !isSubdomain(p.Name) {
		v.add("pool %q: the name must be a DNS subdomain of at most 253 characters", p.Name)
		return
	}
	name := "pool " + p.Name
	if f.Network(p.Network) == nil {
		v.add("%s: network %q is not in this file", name, p.Network)
	}
	if p.Generation < 0 {
		v.add("%s: generation %d must not be negative", name, p.Generation)
	}
	if p.Allocation != AllocationEnabled && p.Allocation != AllocationDisabled {
		v.add("%s: allocation %q must be Enabled or Disabled", name, p.Allocation)
	}
	v.poolInterface(name, p.Interface)
	if p.Family != IPv4 && p.Family != IPv6 {
		v.add("%s: ipFamily %q must be IPv4 or IPv6", name, p.Family)
		return
	}
	if !isNetwork(p.Subnet) || FamilyOf(p.Subnet.Addr()) != p.Family {
		v.add("%s: subnet %s must be an %s CIDR without host bits", name, p.Subnet, p.Family)
		return
	}
	if !isUnicast(p.Gateway) || FamilyOf(p.Gateway) != p.Family || !p.Subnet.Contains(p.Gateway) && !p.Gateway.IsLinkLocalUnicast() {
		v.add("%s: gateway %s must lie inside the subnet %s or be link-local", name, p.Gateway, p.Subnet)
	}
	v.ranges(name, p)
}

func (v *validator) poolInterface(name string, i Interface) {
	if !isMAC(i.MAC) {
		v.add("%s: interface.macAddress %q must be a unicast MAC in lower case, such as 02:00:00:00:10:01", name, i.MAC)
	}
	if i.DeviceIndex < 0 || i.NetworkCardIndex < 0 {
		v.add("%s: interface: device index %d and network card index %d must not be negative", name, i.DeviceIndex, i.NetworkCardIndex)
	}
}

func (v *validator) ranges(name string, p *Pool) {
	subnet := iprange.FromPrefix(p.Subnet)
	for _, list := range []struct {
		name   string
		ranges Ranges
		inside bool
	}{{"ranges", p.Ranges, true}, {"exclude", p.Exclude, false}, {"draining", p.Draining, true}} {
		if len(list.ranges) > maxRanges {
			v.add("%s: %s has %d entries, more than %d", name, list.name, len(list.ranges), maxRanges)
			continue
		}
		for _, r := range list.ranges {
			switch {
			case !r.IsValid():
				v.add("%s: %s: %s-%s holds no address", name, list.name, r.First, r.Last)
			case list.inside && !subnet.Covers(r):
				v.add("%s: %s: %s must lie inside the subnet %s", name, list.name, r, p.Subnet)
			}
		}
	}
}

// duplicates finds names, and pools of one network, interface and family, that appear twice.
func (v *validator) duplicates(pools []Pool) {
	type place struct {
		network, mac string
		family       Family
	}
	names, places := map[string]bool{}, map[place]string{}
	for _, p := range pools {
		if names[p.Name] {
			v.add("pool %s appears twice", p.Name)
			continue
		}
		names[p.Name] = true
		at := place{p.Network, p.Interface.MAC, p.Family}
		if other, ok := places[at]; ok {
			v.add("pools %s and %s are both of network %s, %s and %s: make them one", other, p.Name, p.Network, p.Interface, p.Family)
		}
		places[at] = p.Name
	}
}

// interfaces finds MACs with two identities.
func (v *validator) interfaces(pools []Pool) {
	seen := map[string]*Pool{}
	for i := range pools {
		p := &pools[i]
		first, ok := seen[p.Interface.MAC]
		if !ok {
			seen[p.Interface.MAC] = p
		} else if first.Interface != p.Interface {
			v.add("pools %s and %s differ about the interface with MAC %s", first.Name, p.Name, p.Interface.MAC)
		}
	}
}

// overlaps finds addresses in two enabled pools.
func (v *validator) overlaps(f *File) {
	type owned struct {
		iprange.Range
		pool string
	}
	var all []owned
	for i := range f.Pools {
		p := &f.Pools[i]
		if p.Allocation != AllocationEnabled {
			continue
		}
		for _, r := range iprange.Merge(slices.Clone(p.Ranges)) {
			all = append(all, owned{r, p.Name})
		}
	}
	slices.SortStableFunc(all, func(a, b owned) int { return a.Compare(b.Range) })
	widest := 0 // of those seen, the one that reaches furthest
	for i := 1; i < len(all); i++ {
		if all[i].Overlaps(all[widest].Range) {
			v.add("pools %s and %s overlap in %s and %s: disable one", all[widest].pool, all[i].pool, all[widest].Range, all[i].Range)
		}
		if all[widest].Last.Less(all[i].Last) {
			widest = i
		}
	}
}

// isLabel says whether s is a DNS label in lower case, as RFC 1123 has it.
func isLabel(s string) bool {
	return len(s) <= 63 && isName(s)
}

// isSubdomain says whether s is a name of a Node or a pool: like Kubernetes, it limits the whole and not each label.
func isSubdomain(s string) bool {
	if len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !isName(part) {
			return false
		}
	}
	return true
}

// isName says whether s is lower-case letters, digits and, except at its ends, hyphens.
func isName(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') })
}

// isMAC says whether s is a MAC that an interface can have, in its one spelling: neither a group's, whose first byte is odd, nor all zeros.
func isMAC(s string) bool {
	parts := strings.Split(s, ":")
	if len(parts) != 6 || s == "00:00:00:00:00:00" {
		return false
	}
	for _, part := range parts {
		if len(part) != 2 || strings.Trim(part, "0123456789abcdef") != "" {
			return false
		}
	}
	return strings.ContainsRune("02468ace", rune(parts[0][1]))
}

// isUnicast says whether a host can have the address.
func isUnicast(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// isNetwork says whether p is a prefix without host bits.
func isNetwork(p netip.Prefix) bool {
	return p.IsValid() && p == p.Masked() && !p.Addr().Is4In6()
}

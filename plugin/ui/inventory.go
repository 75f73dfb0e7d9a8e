// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// zoneLabel is the well-known label of a node's zone.
const zoneLabel = "topology.kubernetes.io/zone"

// Inventory draws what was observed: each node, below it its interfaces, below each the addresses that it has for pods
// in its subnet, by family.
func (s *Screen) Inventory(inventory v1alpha1.Inventory) {
	p := s.page()
	defer p.print()
	if len(inventory.Nodes) == 0 {
		p.line(span{"No nodes found.", plain})
		return
	}
	v := inventoryView{symbols: &s.symbols, subnets: map[string]v1alpha1.Subnet{}, manual: inventory.Provider == v1alpha1.ProviderManual}
	for _, subnet := range inventory.Subnets {
		v.subnets[subnet.ID] = subnet
	}
	nodes := slices.SortedStableFunc(slices.Values(inventory.Nodes), func(a, b v1alpha1.Node) int {
		return cmp.Compare(a.Name, b.Name)
	})
	for i, node := range nodes {
		if i > 0 {
			v.table.rows = append(v.table.rows, row{})
		}
		v.node(node)
	}
	v.table.indent = 4
	v.table.columns = []column{
		{head: "SUBNET"},
		{head: "USABLE", right: true},
		{head: "PREFIXES, ADDRESSES", want: len("255.255.255.0/28"), rank: 1, cut: s.symbols.cutList},
	}
	v.table.write(p)
	p.end()
	v.summary(p, inventory.OtherIPAM)
}

// inventoryView collects the rows of an inventory's table.
type inventoryView struct {
	symbols *symbols
	subnets map[string]v1alpha1.Subnet
	// manual: there is no cloud, so no node has an instance.
	manual bool
	table  table
	total  struct {
		nodes, lost, interfaces int
		v4, v6                  int64
	}
}

func (v *inventoryView) banner(indent int, spans ...span) {
	v.table.rows = append(v.table.rows, row{banner: spans, indent: indent})
}

func (v *inventoryView) node(node v1alpha1.Node) {
	v.total.nodes++
	spans := []span{{v.symbols.clean(node.Name), name}}
	if node.InstanceID == "" && !v.manual {
		v.total.lost++
		spans = append(spans, span{}, span{v.symbols.warning + " no instance found", caution})
	}
	about := []string{node.InstanceType, v.zone(node), node.InstanceID}
	if node.Kernel != "" {
		about = append(about, "kernel "+node.Kernel)
	}
	spans = append(spans, span{}, span{v.list(about), plain})
	v.banner(0, spans...)
	interfaces := slices.SortedStableFunc(slices.Values(node.Interfaces), func(a, b v1alpha1.Interface) int {
		return cmp.Or(
			cmp.Compare(a.NetworkCardIndex, b.NetworkCardIndex),
			cmp.Compare(a.DeviceIndex, b.DeviceIndex),
			cmp.Compare(a.ID, b.ID),
		)
	})
	for _, nic := range interfaces {
		v.nic(nic)
	}
	if len(interfaces) == 0 && (node.InstanceID != "" || v.manual) {
		v.banner(2, span{"no interfaces", dim})
	}
}

// zone of a node: that of its first interface's subnet, else its label's.
func (v *inventoryView) zone(node v1alpha1.Node) string {
	for _, nic := range node.Interfaces {
		if zone := v.subnets[nic.SubnetID].Zone; zone != "" {
			return zone
		}
	}
	return node.Labels[zoneLabel]
}

func (v *inventoryView) nic(nic v1alpha1.Interface) {
	v.total.interfaces++
	device := deviceName(nic.NetworkCardIndex, nic.DeviceIndex)
	title, about := nic.Name, []string{device, nic.ID}
	if title == "" {
		title, about = device, about[1:]
	}
	label := "primary "
	for _, primary := range []netip.Addr{nic.PrimaryIPv4, nic.PrimaryIPv6} {
		if primary.IsValid() {
			about, label = append(about, label+primary.String()), ""
		}
	}
	if nic.Tags[v1alpha1.NoManageTag] == "true" {
		about = append(about, "tagged no_manage")
	}
	v.banner(2, span{v.symbols.clean(title), name}, span{}, span{v.list(about), plain})
	subnet, known := v.subnets[nic.SubnetID]
	ranges4, ranges6 := iprange.ByFamily(nic.Ranges)
	v.total.v4 = add(v.total.v4, v.addresses(subnet.CIDR, nic.IPv4Prefixes, ranges4, nic.SecondaryIPv4))
	v.total.v6 = add(v.total.v6, v.addresses(subnet.IPv6CIDR, nic.IPv6Prefixes, ranges6, nic.SecondaryIPv6))
	if !known {
		v.banner(4, span{v.symbols.warning + " unknown subnet " + v.symbols.clean(nic.SubnetID), caution})
	}
}

// addresses adds the row of one family, unless there is nothing of it, and returns how many pods could use.
func (v *inventoryView) addresses(subnet netip.Prefix, prefixes []netip.Prefix, ranges []iprange.Range, secondary []netip.Addr) int64 {
	if !subnet.IsValid() && len(prefixes)+len(ranges)+len(secondary) == 0 {
		return 0
	}
	usable := int64(len(secondary))
	texts := make([]string, 0, len(prefixes))
	for _, prefix := range slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare) {
		usable = add(usable, iprange.FromPrefix(prefix).Size())
		texts = append(texts, prefix.String())
	}
	for _, r := range iprange.Merge(ranges) {
		usable = add(usable, r.Size())
		texts = append(texts, r.String())
	}
	cells := []cell{
		{"-", dim},
		{number(usable), plain},
		{v.symbols.clean(strings.Join(append(texts, runs(secondary)...), ", ")), plain},
	}
	if subnet.IsValid() {
		cells[0] = cell{v.symbols.clean(subnet.String()), plain}
	}
	if usable == 0 {
		cells[1].ink = dim
	}
	v.table.rows = append(v.table.rows, row{cells: cells})
	return usable
}

// runs writes addresses in a row as first-last. (Not as a CIDR: it would look like a prefix.)
func runs(addresses []netip.Addr) []string {
	singles := make([]iprange.Range, len(addresses))
	for i, a := range addresses {
		singles[i] = iprange.Single(a)
	}
	var texts []string
	for _, r := range iprange.Merge(singles) {
		text := r.First.String()
		if r.First != r.Last {
			text += "-" + r.Last.String()
		}
		texts = append(texts, text)
	}
	return texts
}

func (v *inventoryView) summary(p *page, others []v1alpha1.OtherIPAM) {
	p.line(
		span{plan.Count(v.total.nodes, "node") + ", " + plan.Count(v.total.interfaces, "interface") + ";", plain},
		span{number(v.total.v4) + " IPv4 and " + number(v.total.v6) + " IPv6 addresses for pods", plain},
	)
	if v.total.lost > 0 {
		p.line(span{v.symbols.warning + " " + plan.Count(v.total.lost, "node") + " without an instance", caution})
	}
	if len(others) > 0 {
		p.line(span{v.symbols.warning + " interfaces are also managed by " + v.list(toStrings(others)), caution})
	}
}

// list joins what is not empty; a line may end only between the parts.
func (v *inventoryView) list(parts []string) string {
	var cleaned []string
	for _, part := range parts {
		if part != "" {
			cleaned = append(cleaned, strings.ReplaceAll(v.symbols.clean(part), " ", noBreak))
		}
	}
	return strings.Join(cleaned, ", ")
}

func toStrings[S ~string](values []S) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// view is the inventory as the planner reads it: in one order, whatever order it came in, with doubts noted.
type view struct {
	nodes     []*node // by name
	otherIPAM []v1alpha1.OtherIPAM
	// manual: no cloud says what is bound to interfaces, the user does.
	manual bool
	// findings about no single interface.
	findings []Finding
}

// node of the inventory.
type node struct {
	*v1alpha1.Node
	nics []*nic // by card, device index and id
	// owner of its pools.
	owner []metav1.OwnerReference
}

// nic is an interface of a node with what the cloud bound to it.
type nic struct {
	*v1alpha1.Interface
	node *node
	// subnet is nil if the inventory does not have it.
	subnet *subnet
	// foreign are the other IPAMs that own the interface, or may take it.
	foreign []v1alpha1.OtherIPAM
	// doubled: another interface cannot be told from this one, so neither carries pools.
	doubled bool
	// chosen by a network.
	chosen bool
	// addresses that the cloud bound to the interface, primary ones included, in order.
	addresses []address
	// ranges for pods.
	ranges [families][sources][]iprange.Range
	// owner is the network that has these ranges.
	owner [families][sources]*network
	// defects found; how bad they are depends on whether a network chooses the interface.
	defects []defect
}

// defect is a finding about an interface whose severity is not known yet.
type defect struct{ id, message, remedy string }

// address is one prefix or single address that the cloud bound to an interface.
type address struct {
	iprange.Range
	nic *nic
	fam family
	src source
	// other interface that has it too, or a part of it.
	other *nic
}

// family and source index small arrays; the API's words for them are longer.
type (
	family int
	source int
)

const (
	v4 family = iota
	v6
	families
)

const (
	fromPrefix source = iota
	fromSecondary
	sources
	primary // the interface's own, never a pod's
)

func (f family) api() v1alpha1.IPFamily {
	return [...]v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6}[f]
}

// short is the family in a pool's name.
func (f family) short() string { return [...]string{"v4", "v6"}[f] }

func (s source) api() v1alpha1.AddressSource {
	return [...]v1alpha1.AddressSource{v1alpha1.SourcePrefix, v1alpha1.SourceSecondaryIP}[s]
}

// noun for messages.
func (a *address) noun() string {
	switch a.src {
	case fromPrefix:
		if _, ok := a.Prefix(); !ok {
			return "range"
		}
		return "prefix"
	case fromSecondary:
		return "secondary address"
	default:
		return "primary address"
	}
}

// object names the interface in findings.
func (n *nic) object() string { return fmt.Sprintf("interface/%s (%s)", n.ID, n.node.Name) }

func (n *nic) defect(id, remedy, message string, args ...any) {
	n.defects = append(n.defects, defect{id, fmt.Sprintf(message, args...), remedy})
}

// carries says whether the interface has usable addresses for pods.
func (n *nic) carries() bool {
	for fam := range n.ranges {
		for src := range n.ranges[fam] {
			if len(n.ranges[fam][src]) > 0 {
				return true
			}
		}
	}
	return false
}

// observe reads an inventory.
func observe(inv *v1alpha1.Inventory) *view {
	v := &view{otherIPAM: slices.Sorted(slices.Values(inv.OtherIPAM)), manual: inv.Provider == v1alpha1.ProviderManual}
	subnets := v.subnets(inv.Subnets)
	v.nodes = make([]*node, 0, len(inv.Nodes))
	for i := range inv.Nodes {
		in := &inv.Nodes[i]
		n := &node{Node: in, nics: make([]*nic, 0, len(in.Interfaces)), owner: ownedBy(in)}
		for j := range n.Interfaces {
			n.nics = append(n.nics, v.nic(n, &n.Interfaces[j], subnets))
		}
		slices.SortFunc(n.nics, func(a, b *nic) int {
			return cmp.Or(cmp.Compare(a.NetworkCardIndex, b.NetworkCardIndex), cmp.Compare(a.DeviceIndex, b.DeviceIndex),
				cmp.Compare(a.ID, b.ID))
		})
		v.nodes = append(v.nodes, n)
	}
	slices.SortFunc(v.nodes, func(a, b *node) int { return cmp.Compare(a.Name, b.Name) })
	v.markDoubled()
	v.markShared()
	for n := range v.nics() {
		v.sift(n)
	}
	v.needGateways()
	return v
}

// either chooses between what is to be said where the user writes what interfaces have, and where a cloud knows it.
func (v *view) either(manual, cloud string) string {
	if v.manual {
		return manual
	}
	return cloud
}

// nics yields all interfaces in order.
func (v *view) nics() func(yield func(*nic) bool) {
	return func(yield func(*nic) bool) {
		for _, n := range v.nodes {
			for _, nic := range n.nics {
				if !yield(nic) {
					return
				}
			}
		}
	}
}

// count of all interfaces.
func (v *view) count() int {
	count := 0
	for _, n := range v.nodes {
		count += len(n.nics)
	}
	return count
}

func (v *view) nic(n *node, in *v1alpha1.Interface, subnets map[string]*subnet) *nic {
	out := &nic{
		Interface: in,
		node:      n,
		subnet:    subnets[in.SubnetID],
		foreign:   v.owners(in),
	}
	out.addresses = make([]address, 0, 2+len(in.IPv4Prefixes)+len(in.SecondaryIPv4)+len(in.IPv6Prefixes)+len(in.SecondaryIPv6)+len(in.Ranges))
	ranges4, ranges6 := iprange.ByFamily(in.Ranges)
	out.bind(v4, in.PrimaryIPv4, in.SecondaryIPv4, in.IPv4Prefixes, ranges4)
	out.bind(v6, in.PrimaryIPv6, in.SecondaryIPv6, in.IPv6Prefixes, ranges6)
	return out
}

// owners of an interface: those that run in the cluster, and whichever has left its tag on it, since that one may run
// under another name, or come back. The user's tag keeps them off.
func (v *view) owners(in *v1alpha1.Interface) []v1alpha1.OtherIPAM {
	if in.Tags[v1alpha1.NoManageTag] == "true" {
		return nil
	}
	out := slices.Clone(v.otherIPAM)
	if in.Tags[v1alpha1.AWSVPCCNITag] != "" {
		out = append(out, v1alpha1.AWSVPCCNI)
	}
	if in.Tags[v1alpha1.CiliumENITag] == "true" {
		out = append(out, v1alpha1.CiliumENI)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (n *nic) bind(fam family, own netip.Addr, secondary []netip.Addr, prefixes []netip.Prefix, ranges []iprange.Range) {
	add := func(r iprange.Range, src source) {
		if r.IsValid() {
			n.addresses = append(n.addresses, address{Range: r, nic: n, fam: fam, src: src})
		}
	}
	start := len(n.addresses)
	for _, p := range prefixes {
		add(iprange.FromPrefix(p), fromPrefix)
	}
	for _, r := range ranges {
		add(r, fromPrefix)
	}
	for _, a := range secondary {
		add(iprange.Single(a), fromSecondary)
	}
	add(iprange.Single(own), primary)
	slices.SortFunc(n.addresses[start:], func(a, b address) int {
		// The larger of two nested ranges comes first, so that the smaller is seen to be a part of it.
		return cmp.Or(cmp.Compare(a.src, b.src), a.First.Compare(b.First), b.Last.Compare(a.Last))
	})
}

// markDoubled notes nodes of one name, and interfaces of one id, or of one position or MAC on a node: pools made from
// them could not be told apart.
func (v *view) markDoubled() {
	ids := make(map[string]*nic, v.count())
	for n := range v.nics() {
		if other := ids[n.ID]; other != nil {
			v.doubled(n, other, "id "+n.ID)
		}
		ids[n.ID] = n
	}
	for _, n := range v.nodes {
		for i, a := range n.nics {
			for _, b := range n.nics[i+1:] {
				if a.NetworkCardIndex == b.NetworkCardIndex && a.DeviceIndex == b.DeviceIndex {
					v.doubled(a, b, fmt.Sprintf("device index %d on network card %d", a.DeviceIndex, a.NetworkCardIndex))
				}
				if strings.EqualFold(a.MACAddress, b.MACAddress) {
					v.doubled(a, b, "MAC address "+strings.ToLower(a.MACAddress))
				}
			}
		}
	}
	for i := range v.nodes[min(1, len(v.nodes)):] {
		v.doubledNodes(v.nodes[i], v.nodes[i+1])
	}
}

func (v *view) doubled(a, b *nic, what string) {
	a.doubled, b.doubled = true, true
	for _, n := range [...]*nic{a, b} {
		n.defect(IDDuplicateInInventory, "correct the inventory: "+v.either("`ip link` on the nodes shows what they have", "`kubectl underlay inspect -o yaml` prints what EC2 has"),
			"another interface has the same %s: neither is used", what)
	}
}

func (v *view) doubledNodes(a, b *node) {
	if a.Name != b.Name {
		return
	}
	for _, n := range slices.Concat(a.nics, b.nics) {
		n.doubled = true
	}
	v.findings = append(v.findings, Finding{ID: IDDuplicateInInventory, Severity: Error, Object: "node/" + a.Name,
		Message: "the inventory has this node more than once: none of them is used",
		Remedy:  "keep the one that exists, and remove the others from the inventory"})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// MaxRanges is what the schema of a pool allows, for ranges and for exclusions.
const MaxRanges = 128

// LabelManagedBy, with the value ManagedBy, marks what is derived from a network.
const (
	LabelManagedBy = "app.kubernetes.io/managed-by"
	ManagedBy      = "underlay"
)

// draft is what a pool is made of. Pools are large and will be sorted, so that they are made last, each in its place.
type draft struct {
	name    string
	network *network
	nic     *nic
	fam     family
	ranges  []poolRange
	exclude []iprange.Range
}

// drafts appends those of the network's pools, on each node that it selects. It takes the ranges of the interfaces that it
// chooses, unless an earlier network has them.
func (n *network) drafts(v *view, out []draft) []draft {
	for _, on := range v.nodes {
		if !n.selects(on) {
			continue
		}
		n.selected++
		chosen := 0
		for _, nic := range on.nics {
			if !n.chooses(nic) {
				continue
			}
			chosen++
			nic.chosen = true
			if !n.elsewhere && len(nic.foreign) == 0 && !nic.doubled {
				out = n.draftsOn(nic, out)
			}
		}
		n.chosen += chosen
		if chosen == 0 {
			n.without = append(n.without, on.Name)
		}
	}
	return out
}

// draftsOn appends those of one interface.
func (n *network) draftsOn(on *nic, out []draft) []draft {
	found := false
	for fam := range families {
		ranges := make([]poolRange, 0, len(on.ranges[fam][fromPrefix])+len(on.ranges[fam][fromSecondary]))
		for src := range sources {
			mine := on.ranges[fam][src]
			if len(mine) == 0 || !n.spec.Has(fam.api(), src.api()) {
				continue
			}
			found = true
			if owner := on.owner[fam][src]; owner != nil {
				n.lose(on, owner)
				continue
			}
			on.owner[fam][src] = n
			for _, r := range mine {
				ranges = append(ranges, poolRange{r, src})
			}
		}
		if len(ranges) == 0 {
			continue
		}
		if fitting, exclude := n.fit(on, fam, ranges); len(fitting) > 0 {
			name := PoolName(n.Name, on.NetworkCardIndex, on.DeviceIndex, fam.api(), on.node.Name)
			out = append(out, draft{name, n, on, fam, fitting, exclude})
		}
	}
	if !found {
		n.empty = append(n.empty, on.ID+" ("+on.node.Name+")")
	}
	return out
}

func (n *network) lose(on *nic, owner *network) {
	name := on.ID + " (" + on.node.Name + ")"
	if lost := n.lostTo[owner.Name]; len(lost) == 0 || lost[len(lost)-1] != name {
		n.lostTo[owner.Name] = append(lost, name)
	}
}

// poolRange prints as the source wrote it: a prefix as CIDR, secondary addresses as first-last.
type poolRange struct {
	iprange.Range
	src source
}

func (r poolRange) api() v1alpha1.Range {
	if r.src == fromPrefix {
		return v1alpha1.Range(r.String())
	}
	return v1alpha1.Range(r.Span())
}

// fit sorts ranges and finds what to exclude from them, within what the schema of a pool allows of both.
func (n *network) fit(on *nic, fam family, ranges []poolRange) (fitting []poolRange, exclude []iprange.Range) {
	slices.SortFunc(ranges, func(a, b poolRange) int { return a.Compare(b.Range) })
	fitting = ranges[:min(len(ranges), MaxRanges)]
	holes := n.holes(on, fam)
	exclude = exclusions(fitting, holes)
	for len(exclude) > MaxRanges { // never fewer exclusions: rather fewer ranges
		fitting = fitting[:len(fitting)-1]
		exclude = exclusions(fitting, holes)
	}
	if left := len(ranges) - len(fitting); left > 0 {
		on.defect(IDTooManyRanges, "use prefixes instead of single addresses, or fewer and larger exclusions",
			"network %s: %s and their exclusions do not fit into one pool, which has at most %d of each: the last %d are left out",
			n.Name, Count(len(ranges), string(fam.api())+" range"), MaxRanges, left)
	}
	return fitting, exclude
}

// pool is the draft, written into a form that has what all pools have in common.
func (d *draft) pool(out v1alpha1.UnderlayPool) v1alpha1.UnderlayPool {
	on, in := d.nic, &d.nic.subnet.families[d.fam]
	out.Name, out.OwnerReferences = d.name, on.node.owner
	out.Spec = v1alpha1.UnderlayPoolSpec{
		NetworkName: d.network.Name,
		NodeName:    on.node.Name,
		Interface: v1alpha1.PoolInterface{ID: on.ID, MACAddress: strings.ToLower(on.MACAddress),
			DeviceIndex: on.DeviceIndex, NetworkCardIndex: on.NetworkCardIndex},
		IPFamily:   d.fam.api(),
		Subnet:     in.cidr,
		Gateway:    in.gateway,
		Ranges:     make([]v1alpha1.Range, 0, len(d.ranges)),
		Allocation: v1alpha1.AllocationEnabled,
	}
	if d.network.spec.Provider == v1alpha1.ProviderManual {
		written(&out)
	}
	for _, r := range d.ranges {
		out.Spec.Ranges = append(out.Spec.Ranges, r.api())
	}
	for _, r := range d.exclude {
		out.Spec.Exclude = append(out.Spec.Exclude, v1alpha1.Range(r.String()))
	}
	return out
}

// ownedBy is the Node, if the cluster's uid of it is known: the pool then goes with it.
func ownedBy(n *v1alpha1.Node) []metav1.OwnerReference {
	if n.UID == "" {
		return nil
	}
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}}
}

// holes are addresses that no pod may have: AWS's own in the subnet, the interface's and the node's, and what the
// network excludes. They are valid until the next call.
func (n *network) holes(on *nic, fam family) []iprange.Range {
	n.scratch = append(n.scratch[:0], on.subnet.families[fam].reserved...)
	n.scratch = append(n.scratch, n.exclude...)
	n.scratch = append(n.scratch, iprange.Single(on.PrimaryIPv4), iprange.Single(on.PrimaryIPv6))
	for _, own := range on.node.InternalIPs {
		n.scratch = append(n.scratch, iprange.Single(own))
	}
	return n.scratch
}

// exclusions are the parts of the ranges that are in a hole, merged and sorted.
func exclusions(ranges []poolRange, holes []iprange.Range) []iprange.Range {
	var out []iprange.Range
	for _, hole := range holes {
		for _, r := range ranges {
			if part, ok := r.Intersect(hole); ok {
				out = append(out, part)
			}
		}
	}
	return iprange.Merge(out)
}

// PoolName is the name of a pool: <network>.<device>.<v4|v6>.<node>, where device is the index, or card-index beyond
// card 0. Beyond what Kubernetes allows it is cut, and a hash of the whole keeps it unique.
func PoolName(network string, card, device int32, ipFamily v1alpha1.IPFamily, node string) string {
	position := fmt.Sprint(device)
	if card > 0 {
		position = fmt.Sprintf("%d-%d", card, device)
	}
	short := v4.short()
	if ipFamily == v1alpha1.IPv6 {
		short = v6.short()
	}
	return cutName(network + "." + position + "." + short + "." + node)
}

// cutName keeps names within 253 characters, the longest that Kubernetes takes.
func cutName(name string) string {
	const longest, hashed = 253, 20
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	head := strings.TrimRight(name[:longest-hashed-1], ".-") // what comes before - must end a label
	return head + "-" + hex.EncodeToString(sum[:])[:hashed]
}

// markDefaults notes nodes on which more than one network would be the default.
func markDefaults(v *view, networks []*network) {
	defaults := slices.DeleteFunc(slices.Clone(networks), func(n *network) bool { return !n.spec.Default || n.invalid != nil || n.DeletionTimestamp != nil })
	if len(defaults) < 2 {
		return
	}
	for _, on := range v.nodes {
		var first *network
		for _, n := range defaults {
			switch {
			case !n.on(on):
			case first == nil:
				first = n
			default:
				n.defaultsBefore[first.Name] = append(n.defaultsBefore[first.Name], on.Name)
			}
		}
	}
}

// on says whether the node carries the network. Which interfaces a Manual network has is known to its pools alone.
func (n *network) on(on *node) bool {
	if !n.selects(on) {
		return false
	}
	return n.spec.Provider == v1alpha1.ProviderManual || slices.ContainsFunc(on.nics, n.chooses)
}

// attachments of the networks, one each. Two networks cannot share one; the first has it.
func attachments(networks []*network) ([]Attachment, []Finding) {
	var out []Attachment
	var findings []Finding
	owner := map[v1alpha1.AttachmentReference]string{}
	for _, n := range networks {
		if n.invalid != nil {
			continue
		}
		ref := n.attachment()
		if other, taken := owner[ref]; taken {
			findings = append(findings, Finding{ID: IDAttachmentShared, Severity: Error, Object: n.object(),
				Message: fmt.Sprintf("its attachment %s belongs to network %s already: none is made for this network", ref, other),
				Remedy:  "give spec.attachment.name another value in one of the two networks"})
			continue
		}
		owner[ref] = n.Name
		out = append(out, Attachment{Namespace: ref.Namespace, Name: ref.Name, Network: n.Name, Config: n.config()})
	}
	slices.SortFunc(out, func(a, b Attachment) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return out, findings
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// markShared notes addresses that are seen on more than one interface: EC2 answers late, and files are written by
// hand. One walk over all addresses in order, so that the work grows with their number and not with their pairs.
func (v *view) markShared() {
	count := 0
	for n := range v.nics() {
		count += len(n.addresses)
	}
	all := make([]*address, 0, count)
	for n := range v.nics() {
		for i := range n.addresses {
			all = append(all, &n.addresses[i])
		}
	}
	slices.SortFunc(all, func(a, b *address) int { return a.Compare(b.Range) })
	lookBack(all)
	lookAhead(all)
}

// lookBack asks of each address whether an earlier one of another interface reaches it. The two that reach furthest, of
// different interfaces, answer for every interface.
func lookBack(all []*address) {
	var furthest, second *address
	for _, a := range all {
		if earlier := otherThan(a.nic, furthest, second); earlier != nil && earlier.Overlaps(a.Range) {
			a.other = earlier.nic
		}
		switch {
		case furthest == nil || furthest.Last.Less(a.Last):
			if furthest != nil && furthest.nic != a.nic {
				second = furthest
			}
			furthest = a
		case a.nic != furthest.nic && (second == nil || second.Last.Less(a.Last)):
			second = a
		}
	}
}

// lookAhead asks of each address whether it reaches a later one of another interface. The next one answers.
func lookAhead(all []*address) {
	var next, nextOther *address
	for _, a := range slices.Backward(all) {
		if next != nil && next.nic != a.nic {
			nextOther = next
		}
		if a.other == nil && nextOther != nil && a.Overlaps(nextOther.Range) {
			a.other = nextOther.nic
		}
		next = a
	}
}

func otherThan(n *nic, candidates ...*address) *address {
	for _, c := range candidates {
		if c != nil && c.nic != n {
			return c
		}
	}
	return nil
}

// sift turns what the cloud bound to the interface into ranges for pods, and notes why the rest is left out.
func (v *view) sift(n *nic) {
	if n.subnet == nil {
		if len(n.addresses) > 0 {
			n.noSubnet()
		}
		return
	}
	var missing [families]bool
	var prefixes []iprange.Range // of the interface, all of them: a secondary address inside one is a part of it
	for i := range n.addresses {
		a := &n.addresses[i]
		if a.src == primary {
			if a.other != nil {
				v.shared(a)
			}
			continue
		}
		network := n.subnet.families[a.fam].network
		switch {
		case !network.IsValid():
			missing[a.fam] = true
		case !network.Covers(a.Range):
			v.outside(a, network)
		case a.other != nil:
			v.shared(a)
		case slices.ContainsFunc(prefixes, func(p iprange.Range) bool { return p.Covers(a.Range) }):
		default:
			n.ranges[a.fam][a.src] = append(n.ranges[a.fam][a.src], a.Range)
		}
		if a.src == fromPrefix {
			prefixes = append(prefixes, a.Range)
		}
	}
	for fam := range families {
		n.ranges[fam][fromSecondary] = iprange.Merge(n.ranges[fam][fromSecondary])
		if missing[fam] {
			n.defect(IDSubnetWithoutFamily, "give the subnet its "+string(fam.api())+" network in the inventory"+v.either("", ", or add one to it in the cloud"),
				"the interface has %s addresses for pods, but its subnet %s has no %s network: no pool for them",
				fam.api(), n.SubnetID, fam.api())
		}
	}
}

func (n *nic) noSubnet() {
	n.defect(IDUnknownSubnet, "add the subnet to the inventory; it gives mask and gateway",
		"its subnet %s is not in the inventory: no pool for its addresses", n.SubnetID)
}

func (v *view) outside(a *address, network iprange.Range) {
	id := IDAddressOutsideSubnet
	if a.src == fromPrefix {
		id = IDPrefixOutsideSubnet
	}
	remedy := v.either("correct the interface's ranges or its subnet's network in the inventory",
		"correct the inventory: `kubectl underlay inspect -o yaml` prints what EC2 has bound to the interface")
	a.nic.defect(id, remedy, "%s %s is outside the interface's subnet %s (%s): it is left out", a.noun(), a.Range, a.nic.SubnetID, network)
}

func (v *view) shared(a *address) {
	remedy := v.either("take it from one of the two interfaces in the inventory",
		"wait a minute and look again, EC2 may still show where an address was before; otherwise take it from one of the interfaces")
	a.nic.defect(IDAddressOnTwoInterfaces, remedy,
		"%s %s is also on %s: neither hands it out", a.noun(), a.Range, a.other.object())
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The reasons of the condition Valid, besides those of plan.Mistake (NodeNotFound).
const (
	reasonUsable       = "Usable"
	reasonInvalidRange = "InvalidRange"
	reasonDuplicate    = "Duplicate"
	reasonOverlap      = "Overlap"
)

// contender is a pool and its right to addresses.
type contender struct {
	pool *v1alpha1.UnderlayPool
	// created is zero for a pool that does not exist yet.
	created metav1.Time
	// derived: made by the operator from a network and the cloud.
	derived bool
	// inSync: as the cloud has it.
	inSync bool
	// wrong is what the pool's network, node or subnet has against it.
	wrong fault
}

// fault is why a pool is not valid.
type fault struct{ reason, message string }

// faults says which pools are not valid, by name. Of pools that overlap, or that are of one network, interface and
// family, the derived one that is in sync wins, else the oldest; what has lost to one pool takes nothing from another.
func faults(all []contender) map[string]fault {
	out := map[string]fault{}
	var sound []contender
	for _, c := range all {
		if f, ok := c.unsound(); ok {
			out[c.pool.Name] = f
			continue
		}
		sound = append(sound, c)
	}
	rivals := map[string][]rival{}
	sameBinding(sound, rivals)
	sameAddresses(sound, rivals)
	slices.SortFunc(sound, compareContenders)
	won := map[string]bool{}
	for _, c := range sound {
		lost := slices.IndexFunc(rivals[c.pool.Name], func(r rival) bool { return won[r.name] })
		if lost < 0 {
			won[c.pool.Name] = true
			continue
		}
		out[c.pool.Name] = rivals[c.pool.Name][lost].fault
	}
	return out
}

// rival is another pool that wants the same, and what is to be said should it win.
type rival struct {
	name  string
	fault fault
}

// compareContenders puts those of better right first.
func compareContenders(a, b contender) int {
	rank := func(c contender) int {
		if c.derived && c.inSync {
			return 0
		}
		return 1
	}
	unborn := func(c contender) int {
		if c.created.IsZero() {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(unborn(a), unborn(b)), a.created.Compare(b.created.Time),
		cmp.Compare(a.pool.Name, b.pool.Name))
}

// unsound says what is wrong with the pool by itself. The schema has checked the family and both ends of each range.
func (c contender) unsound() (fault, bool) {
	for _, list := range []struct {
		field  string
		ranges []v1alpha1.Range
	}{{"ranges", c.pool.Spec.Ranges}, {"exclude", c.pool.Spec.Exclude}, {"draining", c.pool.Spec.Draining}} {
		for i, text := range list.ranges {
			if _, err := iprange.Parse(string(text)); err != nil {
				return fault{reasonInvalidRange, fmt.Sprintf("spec.%s[%d]: %v", list.field, i, err)}, true
			}
		}
	}
	ranges := parseRanges(c.pool.Spec.Ranges)
	slices.SortFunc(ranges, iprange.Range.Compare)
	for i := range ranges[min(1, len(ranges)):] {
		if ranges[i].Overlaps(ranges[i+1]) {
			return fault{reasonInvalidRange, fmt.Sprintf("spec.ranges: %s and %s overlap: write each address once", ranges[i], ranges[i+1])}, true
		}
	}
	return c.wrong, c.wrong != (fault{})
}

// sameBinding finds pools of one network, interface and family: a node has one pool for them.
func sameBinding(all []contender, rivals map[string][]rival) {
	type binding struct {
		network, node, mac string
		family             v1alpha1.IPFamily
	}
	first := map[binding][]*v1alpha1.UnderlayPool{}
	for _, c := range all {
		s := &c.pool.Spec
		key := binding{s.NetworkName, s.NodeName, s.Interface.MACAddress, s.IPFamily}
		for _, other := range first[key] {
			for _, pair := range [2][2]*v1alpha1.UnderlayPool{{c.pool, other}, {other, c.pool}} {
				rivals[pair[0].Name] = append(rivals[pair[0].Name], rival{pair[1].Name, fault{reasonDuplicate, fmt.Sprintf(
					"pool %s is of the same network, node, interface and family: put all ranges into one of the two, and delete the other", pair[1].Name)}})
			}
		}
		first[key] = append(first[key], c.pool)
	}
}

// part is a range that a pool hands out.
type part struct {
	iprange.Range
	pool *v1alpha1.UnderlayPool
}

// sameAddresses finds pools that would hand out the same address. One walk over all ranges in order, so that the work
// grows with their number and not with their pairs.
func sameAddresses(all []contender, rivals map[string][]rival) {
	parts := make([]part, 0, len(all))
	for _, c := range all {
		ranges := parseRanges(c.pool.Spec.Ranges)
		if len(c.pool.Spec.Exclude) > 0 {
			ranges = iprange.Subtract(ranges, parseRanges(c.pool.Spec.Exclude))
		}
		for _, r := range ranges {
			parts = append(parts, part{r, c.pool})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return a.Compare(b.Range) })
	type pair struct{ pool, other string }
	common := map[pair][]iprange.Range{}
	var open []part
	for _, p := range parts {
		open = slices.DeleteFunc(open, func(o part) bool { return !o.Overlaps(p.Range) })
		for _, o := range open {
			if r, ok := o.Intersect(p.Range); ok && o.pool != p.pool {
				common[pair{p.pool.Name, o.pool.Name}] = append(common[pair{p.pool.Name, o.pool.Name}], r)
				common[pair{o.pool.Name, p.pool.Name}] = append(common[pair{o.pool.Name, p.pool.Name}], r)
			}
		}
		open = append(open, p)
	}
	for key, ranges := range common {
		rivals[key.pool] = append(rivals[key.pool], rival{key.other, fault{reasonOverlap, fmt.Sprintf(
			"pool %s has %s too, and comes first: take them out of one of the two", key.other, listed(ranges))}})
	}
	for name := range rivals {
		slices.SortFunc(rivals[name], func(a, b rival) int {
			return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.fault.reason, b.fault.reason))
		})
	}
}

// listed names ranges for a message.
func listed(ranges []iprange.Range) string {
	ranges = iprange.Merge(slices.Clone(ranges))
	names := make([]string, 0, len(ranges))
	for _, r := range ranges {
		names = append(names, r.String())
	}
	return plan.Some(names)
}

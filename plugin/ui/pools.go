// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// PoolOptions say how much of the pools to show.
type PoolOptions struct {
	// Wide adds pool, network, ENI, subnet, gateway and allocation.
	Wide bool
	// Link is the name of the Linux link with a MAC address on a node, empty if unknown; nil knows none.
	Link func(node, mac string) string
}

// Pools draws pools, free and used addresses per node, interface and family, and totals per family.
func (s *Screen) Pools(pools []v1alpha1.UnderlayPool, opts PoolOptions) {
	p := s.page()
	defer p.print()
	if len(pools) == 0 {
		p.line(span{"No pools found.", plain})
		return
	}
	rows := s.poolRows(pools, opts)
	t := s.poolTable(rows, opts.Wide)
	if hidden := t.write(p); opts.Wide && len(hidden) > 0 {
		p.end()
		p.flow(0, span{"No room for " + strings.Join(hidden, ", ") + ": widen the terminal, or use a pipe.", dim})
	}
}

// poolRow is what one line of the table says.
type poolRow struct {
	pool       *v1alpha1.UnderlayPool
	node, link string
	usage      usage
	state      cell
}

// usage of a pool or of several. Without an operator only the capacity is known.
type usage struct {
	known                         bool
	capacity, used, free, cooling int64
}

func (u usage) plus(o usage) usage {
	return usage{
		known:    u.known || o.known,
		capacity: add(u.capacity, o.capacity),
		used:     add(u.used, o.used),
		free:     add(u.free, o.free),
		cooling:  add(u.cooling, o.cooling),
	}
}

func (s *Screen) poolRows(pools []v1alpha1.UnderlayPool, opts PoolOptions) []poolRow {
	rows := make([]poolRow, len(pools))
	for i := range pools {
		pool := &pools[i]
		row := poolRow{
			pool:  pool,
			node:  s.symbols.clean(pool.Spec.NodeName),
			link:  s.symbols.clean(linkName(pool, opts.Link)),
			usage: usageOf(pool),
		}
		row.state = poolState(pool, row.usage)
		rows[i] = row
	}
	slices.SortStableFunc(rows, func(a, b poolRow) int {
		x, y := &a.pool.Spec, &b.pool.Spec
		return cmp.Or(
			cmp.Compare(x.NodeName, y.NodeName),
			cmp.Compare(x.NetworkName, y.NetworkName),
			cmp.Compare(x.Interface.NetworkCardIndex, y.Interface.NetworkCardIndex),
			cmp.Compare(x.Interface.DeviceIndex, y.Interface.DeviceIndex),
			cmp.Compare(x.IPFamily, y.IPFamily),
			cmp.Compare(a.pool.Name, b.pool.Name),
		)
	})
	return rows
}

// linkName is the interface's Linux name, or its position as in a pool's name.
func linkName(pool *v1alpha1.UnderlayPool, link func(node, mac string) string) string {
	nic := pool.Spec.Interface
	if link != nil {
		if known := link(pool.Spec.NodeName, nic.MACAddress); known != "" {
			return known
		}
	}
	return deviceName(nic.NetworkCardIndex, nic.DeviceIndex)
}

func deviceName(card, device int32) string {
	position := strconv.Itoa(int(device))
	if card > 0 {
		position = strconv.Itoa(int(card)) + "-" + position
	}
	return "device " + position
}

func usageOf(pool *v1alpha1.UnderlayPool) usage {
	status := &pool.Status
	if status.Usage == (v1alpha1.Usage{}) && status.Cooling == 0 && len(status.Conditions) == 0 {
		return usage{capacity: capacityOf(pool)}
	}
	return usage{
		known:    true,
		capacity: status.Capacity,
		used:     status.Allocated,
		free:     status.Available,
		cooling:  status.Cooling,
	}
}

// capacityOf counts the addresses of the ranges that are not excluded.
func capacityOf(pool *v1alpha1.UnderlayPool) int64 {
	ranges := iprange.Merge(parseRanges(pool.Spec.Ranges))
	return iprange.Size(iprange.Subtract(ranges, parseRanges(pool.Spec.Exclude)))
}

// parseRanges leaves out what cannot be read: an API server accepts none such.
func parseRanges(ranges []v1alpha1.Range) []iprange.Range {
	parsed := make([]iprange.Range, 0, len(ranges))
	for _, text := range ranges {
		if r, err := iprange.Parse(string(text)); err == nil {
			parsed = append(parsed, r)
		}
	}
	return parsed
}

// poolState says what is out of the ordinary, the worst first.
func poolState(pool *v1alpha1.UnderlayPool, u usage) cell {
	var states []string
	look := caution
	conditions := pool.Status.Conditions
	if meta.IsStatusConditionFalse(conditions, "Valid") {
		states, look = append(states, "invalid"), bad
	}
	if exhausted(pool, u) {
		states, look = append(states, "exhausted"), bad
	}
	if pool.Spec.Allocation == v1alpha1.AllocationDisabled {
		states = append(states, "disabled")
	}
	if len(pool.Spec.Draining) > 0 {
		states = append(states, "draining")
	}
	if meta.IsStatusConditionFalse(conditions, "InSync") {
		states = append(states, "out of sync")
	}
	return cell{strings.Join(states, ", "), look}
}

// exhausted is what the operator says, else what the numbers say.
func exhausted(pool *v1alpha1.UnderlayPool, u usage) bool {
	if c := meta.FindStatusCondition(pool.Status.Conditions, "Exhausted"); c != nil {
		return c.Status == metav1.ConditionTrue
	}
	return u.known && u.free == 0 && u.capacity > 0 && pool.Spec.Allocation != v1alpha1.AllocationDisabled
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// PoolUsage counts a pool's addresses by where they lie, not by the name under which they were handed out, so a pool that was renamed or took over a
// range counts right.
type PoolUsage struct {
	Pool string
	// Interface as people know it.
	Interface string
	// Size is how many addresses pods may have, drained and held ones included; up to iprange.MaxSize, as all numbers here.
	Size int64
	// Held by pods; Cooling: released and resting; Quarantined: used by something that the store does not know.
	Held, Cooling, Quarantined int64
	// Draining is how many addresses are neither held nor to be handed out, since they lie in draining ranges or the pool is disabled.
	Draining int64
	// Free is how many could be handed out now.
	Free int64
	// Rests is when the first cooling or quarantined address that is not draining comes back; 0 if there is none.
	Rests time.Duration
	// Disabled: the pool hands out nothing.
	Disabled bool
	// Drained lists the draining ranges in which no address is held or quarantined.
	Drained []iprange.Range
}

// String such as "pool ens5.0.v4.master (eni-0a): 16 addresses, 14 held, 2 cooling".
func (u PoolUsage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pool %s (%s): %d addresses, %d held", u.Pool, u.Interface, u.Size, u.Held)
	for _, part := range []struct {
		n    int64
		what string
	}{{u.Cooling, "cooling"}, {u.Quarantined, "in quarantine"}, {u.Draining, "draining"}, {u.Free, "free"}} {
		if part.n > 0 && !(u.Disabled && part.what == "draining") {
			fmt.Fprintf(&b, ", %d %s", part.n, part.what)
		}
	}
	if u.Disabled {
		b.WriteString(", and the pool is disabled")
	}
	return b.String()
}

// Usage is what the agent reports.
type Usage struct {
	// Pools of the node file, in its order.
	Pools []PoolUsage
	// Stranded are held addresses in no range of any pool of the node file, by address: their range was removed under them, or they were found
	// in a live namespace and never were ours. A removed range that holds one counts as draining.
	Stranded []Lease
}

// Usage counts the addresses of all pools of the node file. Its cost grows with the addresses that wait, and neither with those that are held nor with
// the ranges.
func (s *Store) Usage(node *nodefile.File) (Usage, error) {
	var u Usage
	err := s.view(func(b *book) error {
		u = Usage{}
		known := []iprange.Range{}
		for i := range node.Pools {
			p := &node.Pools[i]
			pool, err := b.usage(node, p, s.options.Now())
			if err != nil {
				return err
			}
			u.Pools = append(u.Pools, pool)
			known = append(known, p.Ranges...)
			known = append(known, p.Draining...)
		}
		var err error
		u.Stranded, err = b.stranded(known)
		return err
	})
	return u, err
}

// usage counts one pool.
func (b *book) usage(node *nodefile.File, p *nodefile.Pool, now time.Duration) (PoolUsage, error) {
	usable, open := node.Usable(p), node.Open(p)
	closed := iprange.Subtract(usable, open)
	all := iprange.Merge(slices.Concat(p.Ranges, p.Draining))
	u := PoolUsage{
		Pool:      p.Name,
		Interface: p.Interface.String(),
		Size:      iprange.Size(usable),
		Free:      iprange.Size(open),
		Draining:  iprange.Size(closed),
		Disabled:  p.Allocation == nodefile.AllocationDisabled,
	}
	var heldOpen, heldClosed int64
	for _, part := range []struct {
		ranges []iprange.Range
		count  *int64
	}{{all, &u.Held}, {open, &heldOpen}, {closed, &heldClosed}} {
		var err error
		if *part.count, err = b.heldIn(part.ranges); err != nil {
			return PoolUsage{}, err
		}
	}
	u.Free -= heldOpen
	u.Draining -= heldClosed
	cooldown := node.Network(p.Network).Cooldown()
	err := b.visitWaiting(all, func(a netip.Addr, e entry) {
		u.countWaiting(e, cooldown, now, iprange.Contains(open, a), iprange.Contains(closed, a))
	})
	if err != nil {
		return PoolUsage{}, err
	}
	u.Drained, err = b.drained(p, now)
	return u, err
}

// countWaiting counts a waiting address, unless it is over and as good as fresh.
func (u *PoolUsage) countWaiting(e entry, cooldown, now time.Duration, open, closed bool) {
	back, count := e.at, &u.Quarantined
	if e.state == released {
		back, count = e.at+cooldown, &u.Cooling
	}
	if back <= now {
		return
	}
	*count++
	switch {
	case open:
		u.Free--
		if u.Rests == 0 || back-now < u.Rests {
			u.Rests = back - now
		}
	case closed:
		u.Draining--
	}
}

// drained lists the draining ranges without held or quarantined addresses: a quarantined one is in use, though not by a pod that the store knows.
func (b *book) drained(p *nodefile.Pool, now time.Duration) ([]iprange.Range, error) {
	var list []iprange.Range
	for _, r := range p.Draining {
		used, err := b.heldIn([]iprange.Range{r})
		if err != nil {
			return nil, err
		}
		err = b.visitWaiting([]iprange.Range{r}, func(_ netip.Addr, e entry) {
			if e.state == quarantined && e.at > now {
				used++
			}
		})
		if err != nil {
			return nil, err
		}
		if used == 0 {
			list = append(list, r)
		}
	}
	return list, nil
}

// stranded lists held addresses outside of known ranges.
func (b *book) stranded(known []iprange.Range) ([]Lease, error) {
	everything := []iprange.Range{
		iprange.FromPrefix(netip.PrefixFrom(netip.IPv4Unspecified(), 0)),
		iprange.FromPrefix(netip.PrefixFrom(netip.IPv6Unspecified(), 0)),
	}
	outside := iprange.Subtract(everything, known)
	if n, err := b.heldIn(outside); err != nil || n == 0 {
		return nil, err
	}
	records, err := b.recordsWith("")
	if err != nil {
		return nil, err
	}
	var list []Lease
	for _, r := range records {
		for _, l := range r.Leases {
			if iprange.Contains(outside, l.Address) {
				list = append(list, l)
			}
		}
	}
	slices.SortFunc(list, func(x, y Lease) int { return x.Address.Compare(y.Address) })
	return list, nil
}

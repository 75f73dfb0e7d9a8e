// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
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

// Usage counts the addresses of all pools of the node file. Its cost grows with the addresses in use, not with the ranges.
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
	cooldown := node.Network(p.Network).Cooldown()
	u := PoolUsage{
		Pool:      p.Name,
		Interface: p.Interface.String(),
		Size:      iprange.Size(usable),
		Free:      iprange.Size(open),
		Disabled:  p.Allocation == nodefile.AllocationDisabled,
	}
	u.Draining = u.Size - u.Free
	err := b.visit(iprange.Merge(append(slices.Clone(p.Ranges), p.Draining...)), func(a netip.Addr, e entry) error {
		isOpen := iprange.Contains(open, a)
		back := e.at
		if e.state == released {
			back += cooldown
		}
		switch {
		case e.state == held:
			u.Held++
		case back <= now:
			return nil // as good as fresh
		case e.state == released:
			u.Cooling++
		default:
			u.Quarantined++
		}
		switch {
		case isOpen:
			u.Free--
		case iprange.Contains(usable, a):
			u.Draining--
		}
		if isOpen && e.state != held && (u.Rests == 0 || back-now < u.Rests) {
			u.Rests = back - now
		}
		return nil
	})
	if err != nil {
		return PoolUsage{}, err
	}
	u.Drained, err = b.drained(p, now)
	return u, err
}

// drained lists the draining ranges without held or quarantined addresses: a quarantined one is in use, though not by a pod that the store knows.
func (b *book) drained(p *nodefile.Pool, now time.Duration) ([]iprange.Range, error) {
	var list []iprange.Range
	for _, r := range p.Draining {
		used := false
		err := b.visit([]iprange.Range{r}, func(_ netip.Addr, e entry) error {
			used = used || e.state == held || e.state == quarantined && e.at > now
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !used {
			list = append(list, r)
		}
	}
	return list, nil
}

// stranded lists held addresses outside of known ranges.
func (b *book) stranded(known []iprange.Range) ([]Lease, error) {
	rows, err := b.rows()
	if err != nil {
		return nil, err
	}
	names := map[poolID]string{}
	for _, r := range rows {
		names[r.id] = r.name
	}
	all := []iprange.Range{
		iprange.FromPrefix(netip.PrefixFrom(netip.IPv4Unspecified(), 0)),
		iprange.FromPrefix(netip.PrefixFrom(netip.IPv6Unspecified(), 0)),
	}
	var list []Lease
	err = b.visit(iprange.Subtract(all, known), func(a netip.Addr, e entry) error {
		if e.state == held {
			list = append(list, Lease{Address: a, Pool: names[e.pool]})
		}
		return nil
	})
	return list, err
}

// visit calls fn with each address in ranges that has an entry, in order.
func (b *book) visit(ranges []iprange.Range, fn func(a netip.Addr, e entry) error) error {
	cursor := b.addresses.Cursor()
	for _, r := range ranges {
		last := addressKey(r.Last)
		for k, v := cursor.Seek(addressKey(r.First)); k != nil && bytes.Compare(k, last) <= 0; k, v = cursor.Next() {
			a, err := parseAddress(k)
			if err != nil {
				return err
			}
			e, err := decodeEntry(v)
			if err != nil {
				return err
			}
			if err := fn(a, e); err != nil {
				return err
			}
		}
	}
	return nil
}

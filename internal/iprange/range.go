// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package iprange

import (
	"fmt"
	"net/netip"
	"strings"
)

// MaxSize is where Size stops: the largest integer that JSON carries exactly.
const MaxSize = 1<<53 - 1

// Range is all addresses from First to Last, both included. The zero Range is invalid and holds none.
type Range struct {
	First, Last netip.Addr
}

// Single is the range of one address.
func Single(a netip.Addr) Range { return Range{a, a} }

// FromPrefix is the range of all addresses of p.
func FromPrefix(p netip.Prefix) Range {
	if !p.IsValid() {
		return Range{}
	}
	first := p.Masked().Addr()
	mask := hostMask(first.BitLen() - p.Bits())
	return Range{first, toAddr(toNumber(first).or(mask), first.Is4())}
}

// Parse reads a CIDR without host bits (10.0.0.16/28), first-last (10.0.0.4-10.0.0.9) or one address (10.0.0.4).
func Parse(s string) (Range, error) {
	if strings.Contains(s, "/") {
		return parseCIDR(s)
	}
	first, last, found := strings.Cut(s, "-")
	if !found {
		last = first
	}
	r := Range{}
	var err error
	if r.First, err = parseAddr(first); err == nil {
		r.Last, err = parseAddr(last)
	}
	switch {
	case err != nil:
		return Range{}, fmt.Errorf("range %q: %w", s, err)
	case r.First.BitLen() != r.Last.BitLen():
		return Range{}, fmt.Errorf("range %q: both ends must be of one address family", s)
	case r.Last.Less(r.First):
		return Range{}, fmt.Errorf("range %q: the first address is behind the last: write %s-%s", s, r.Last, r.First)
	}
	return r, nil
}

func parseCIDR(s string) (Range, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return Range{}, fmt.Errorf("range %q: %s", s, allowed())
	case p.Addr().Is4In6():
		return Range{}, fmt.Errorf("range %q: an IPv4 network in IPv6 notation: write it as IPv4", s)
	case p != p.Masked():
		return Range{}, fmt.Errorf("range %q: bits beyond the mask are set: write %s for the network, %s for the address",
			s, p.Masked(), p.Addr())
	}
	return FromPrefix(p), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%s", allowed())
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%s has a zone: write %s", a, a.WithZone(""))
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%s is an IPv4 address in IPv6 notation: write %s", a, a.Unmap())
	}
	return a, nil
}

func allowed() string {
	return "must be a CIDR without host bits (10.0.0.16/28), first-last (10.0.0.4-10.0.0.9) or one address (10.0.0.4)"
}

// IsValid says whether r holds an address.
func (r Range) IsValid() bool {
	return r.First.IsValid() && r.First.BitLen() == r.Last.BitLen() && !r.Last.Less(r.First)
}

// Is4 says whether the addresses are IPv4.
func (r Range) Is4() bool { return r.First.Is4() }

// String is one address, a CIDR where the range is one, else first-last. Parse reads all three.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	if p, ok := r.Prefix(); ok {
		return p.String()
	}
	return r.Span()
}

// Span is one address or first-last, never a CIDR.
func (r Range) Span() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Prefix is the range as one prefix, if it is one.
func (r Range) Prefix() (netip.Prefix, bool) {
	if !r.IsValid() {
		return netip.Prefix{}, false
	}
	first, last := toNumber(r.First), toNumber(r.Last)
	host := first.xor(last)
	hostBits := host.len()
	if host != hostMask(hostBits) || first.and(host) != (number{}) {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(r.First, r.First.BitLen()-hostBits), true
}

// Prefixes are the fewest that make up the range, in order.
func (r Range) Prefixes() []netip.Prefix {
	var list []netip.Prefix
	for r.IsValid() {
		p := netip.PrefixFrom(r.First, r.First.BitLen())
		for p.Bits() > 0 {
			wider := netip.PrefixFrom(r.First, p.Bits()-1)
			if wider.Masked() != wider || !r.Covers(FromPrefix(wider)) {
				break
			}
			p = wider
		}
		list = append(list, p)
		_, r = r.Subtract(FromPrefix(p))
	}
	return list
}

// Size counts the addresses, up to MaxSize.
func (r Range) Size() int64 {
	if !r.IsValid() {
		return 0
	}
	n := toNumber(r.Last).minus(toNumber(r.First))
	if n.hi != 0 || n.lo >= MaxSize {
		return MaxSize
	}
	return int64(n.lo) + 1
}

// Contains says whether a is in r.
func (r Range) Contains(a netip.Addr) bool {
	return r.IsValid() && a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// Covers says whether all of o is in r. An invalid range is covered by none.
func (r Range) Covers(o Range) bool {
	return o.IsValid() && r.Contains(o.First) && r.Contains(o.Last)
}

// Overlaps says whether r and o share an address.
func (r Range) Overlaps(o Range) bool {
	_, ok := r.Intersect(o)
	return ok
}

// Intersect is what r and o share; false if nothing.
func (r Range) Intersect(o Range) (Range, bool) {
	if !r.IsValid() || !o.IsValid() || r.First.BitLen() != o.First.BitLen() {
		return Range{}, false
	}
	if r.First.Less(o.First) {
		r.First = o.First
	}
	if o.Last.Less(r.Last) {
		r.Last = o.Last
	}
	if r.Last.Less(r.First) {
		return Range{}, false
	}
	return r, true
}

// Subtract is what of r lies before and what lies behind o; either may be invalid, that is, empty. If they do not
// overlap, all of r is in before.
func (r Range) Subtract(o Range) (before, after Range) {
	shared, ok := r.Intersect(o)
	if !ok {
		return r, Range{}
	}
	if r.First.Less(shared.First) {
		before = Range{r.First, shared.First.Prev()}
	}
	if shared.Last.Less(r.Last) {
		after = Range{shared.Last.Next(), r.Last}
	}
	return before, after
}

// FirstN is the first n addresses of r, or all of r if it has no more; invalid if n is below one.
func (r Range) FirstN(n int64) Range {
	if n < 1 || !r.IsValid() {
		return Range{}
	}
	last := toNumber(r.First).plus(uint64(n - 1))
	if overflowed := last.less(toNumber(r.First)); overflowed || toNumber(r.Last).less(last) {
		return r
	}
	return Range{r.First, toAddr(last, r.Is4())}
}

// Compare orders by first address, then by last; IPv4 comes before IPv6.
func (r Range) Compare(o Range) int {
	if c := r.First.Compare(o.First); c != 0 {
		return c
	}
	return r.Last.Compare(o.Last)
}

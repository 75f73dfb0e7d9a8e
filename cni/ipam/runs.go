// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// The bucket runs is the set of addresses in use, kept as maximal runs: first address to last. Families never touch, since keys start with the family.

// addToRuns adds an address that is in no run.
func (b *book) addToRuns(a netip.Addr) error {
	b.changed = true
	first, last, key := a, a, addressKey(a)
	before, behind, err := b.neighbours(key)
	if err != nil {
		return err
	}
	if before.contains(a) || behind.first == a {
		return damaged("address %s is fresh, and in a run", a)
	}
	if before.valid() && before.last.Next() == a {
		first = before.first
	}
	if behind.valid() && a.Next() == behind.first {
		last = behind.last
		if err := b.runs.Delete(addressKey(behind.first)); err != nil {
			return err
		}
	}
	return b.runs.Put(addressKey(first), addressKey(last))
}

// removeFromRuns takes away an address that is in a run.
func (b *book) removeFromRuns(a netip.Addr) error {
	r, err := b.runOf(a)
	if err != nil {
		return err
	}
	if !r.valid() {
		return damaged("address %s is in use, and in no run", a)
	}
	if r.first == a {
		err = b.runs.Delete(addressKey(a))
	} else {
		err = b.runs.Put(addressKey(r.first), addressKey(a.Prev()))
	}
	if err != nil || r.last == a {
		return err
	}
	return b.runs.Put(addressKey(a.Next()), addressKey(r.last))
}

// nextFresh is the first address from first to last that is in no run; false if there is none.
func (b *book) nextFresh(first, last netip.Addr) (netip.Addr, bool, error) {
	r, err := b.runOf(first)
	switch {
	case err != nil:
		return netip.Addr{}, false, err
	case !r.valid():
		return first, true, nil
	case !r.last.Less(last):
		return netip.Addr{}, false, nil
	}
	return r.last.Next(), true, nil // runs are maximal: what follows one is in none
}

// run of addresses, both ends included; the zero run holds none.
type run struct{ first, last netip.Addr }

func (r run) valid() bool { return r.first.IsValid() }

func (r run) contains(a netip.Addr) bool {
	return r.valid() && r.first.BitLen() == a.BitLen() && !a.Less(r.first) && !r.last.Less(a)
}

// runOf is the run that holds a, or the zero run.
func (b *book) runOf(a netip.Addr) (run, error) {
	before, behind, err := b.neighbours(addressKey(a))
	switch {
	case err != nil:
		return run{}, err
	case behind.valid() && behind.first == a:
		return behind, nil
	case before.contains(a):
		return before, nil
	}
	return run{}, nil
}

// neighbours are the last run that starts before key and the first that starts at or behind it.
func (b *book) neighbours(key []byte) (before, behind run, err error) {
	cursor := b.runs.Cursor()
	k, v := cursor.Seek(key)
	if k != nil {
		if behind, err = parseRun(k, v); err != nil {
			return run{}, run{}, err
		}
		k, v = cursor.Prev()
	} else {
		k, v = cursor.Last()
	}
	if k != nil {
		before, err = parseRun(k, v)
	}
	return before, behind, err
}

func parseRun(key, value []byte) (run, error) {
	first, err := parseAddress(key)
	if err != nil {
		return run{}, err
	}
	last, err := parseAddress(value)
	if err != nil {
		return run{}, err
	}
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return run{}, damaged("a run from %s to %s is none", first, last)
	}
	return run{first, last}, nil
}

// inUse lists what of ranges, which are sorted and do not overlap, is in use.
func (b *book) inUse(ranges []iprange.Range) ([]iprange.Range, error) {
	var list []iprange.Range
	for _, r := range ranges {
		before, _, err := b.neighbours(addressKey(r.First))
		if err != nil {
			return nil, err
		}
		if part, ok := r.Intersect(iprange.Range{First: before.first, Last: before.last}); ok {
			list = append(list, part)
		}
		cursor := b.runs.Cursor()
		for k, v := cursor.Seek(addressKey(r.First)); k != nil; k, v = cursor.Next() {
			next, err := parseRun(k, v)
			if err != nil {
				return nil, err
			}
			part, ok := r.Intersect(iprange.Range{First: next.first, Last: next.last})
			if !ok {
				break
			}
			list = append(list, part)
		}
	}
	return list, nil
}

// heldIn counts the held addresses in ranges, which are sorted and do not overlap: those in use that do not wait.
func (b *book) heldIn(ranges []iprange.Range) (int64, error) {
	used, err := b.inUse(ranges)
	if err != nil {
		return 0, err
	}
	count := iprange.Size(used)
	err = b.visitWaiting(ranges, func(netip.Addr, entry) { count-- })
	return count, err
}

// visitWaiting calls fn with each waiting address in ranges, in order.
func (b *book) visitWaiting(ranges []iprange.Range, fn func(a netip.Addr, e entry)) error {
	cursor := b.waiting.Cursor()
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
			fn(a, e)
		}
	}
	return nil
}

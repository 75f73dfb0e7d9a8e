// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.etcd.io/bbolt"
)

// Problem is something that must not be: a broken invariant of the store.
type Problem struct {
	// Object is what it is about: an address, a record, a pool, a page.
	Object  string
	Message string
}

func (p Problem) String() string { return p.Object + ": " + p.Message }

// Check looks at every page and every entry of the store and lists what breaks its invariants. A sound store has no problems, whenever and however
// its users were killed.
func (s *Store) Check() ([]Problem, error) {
	if s.db == nil {
		return nil, errors.New("the allocation store is closed")
	}
	var problems []Problem
	err := s.attempt(false, func(tx *bbolt.Tx) (bool, error) {
		var err error
		if problems, err = inspect(tx); err != nil {
			return false, err
		}
		b, err := openBook(tx)
		if err != nil {
			return false, err
		}
		problems = append(problems, b.fromTheFuture(s.options.Now())...)
		for err := range tx.Check() {
			problems = append(problems, Problem{Object: "file", Message: err.Error()})
		}
		return false, nil
	})
	return problems, err
}

// inspect checks the invariants that stand at book. An error says that something cannot be read at all.
func inspect(tx *bbolt.Tx) ([]Problem, error) {
	b, err := openBook(tx)
	if err != nil {
		return nil, err
	}
	i := &inspector{book: b, rows: map[poolID]poolRow{}, held: map[poolID]uint64{}, released: map[poolID]uint64{}}
	for _, step := range []func() error{i.readRows, i.checkRecords, i.checkAddresses, i.checkQueue, i.checkCounters} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return i.problems, nil
}

type inspector struct {
	*book
	problems []Problem
	rows     map[poolID]poolRow
	// held and released as counted, by pool.
	held, released map[poolID]uint64
}

func (i *inspector) add(object any, format string, args ...any) {
	i.problems = append(i.problems, Problem{Object: fmt.Sprint(object), Message: fmt.Sprintf(format, args...)})
}

func (i *inspector) readRows() error {
	rows, err := i.book.rows()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, r := range rows {
		if names[r.name] {
			i.add("pool "+r.name, "it has two rows")
		}
		names[r.name] = true
		i.rows[r.id] = r
		if uint64(r.id) > i.pools.Sequence() {
			i.add("pool "+r.name, "its id %d has not been given yet", r.id)
		}
	}
	return nil
}

// checkRecords: each address of a record is held by it, under its pool.
func (i *inspector) checkRecords() error {
	cursor := i.records.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		r, err := decodeRecord(v)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("record of container %s, interface %s", r.ContainerID, r.IfName)
		if recordID(k) != recordKey(r.Owner) {
			i.add(name, "it stands under the key %q", k)
		}
		if len(r.Leases) == 0 {
			i.add(name, "it has no address")
		}
		for _, l := range r.Leases {
			e, known, err := i.entry(l.Address)
			switch {
			case err != nil:
				return err
			case !known || e.state != held:
				i.add(name, "its address %s is not held", l.Address)
			case e.record != recordKey(r.Owner):
				i.add(name, "its address %s is held by %s", l.Address, i.holderOf(e.record))
			case i.rows[e.pool].name != l.Pool:
				i.add(name, "its address %s is of pool %q, and counted in %q", l.Address, l.Pool, i.rows[e.pool].name)
			}
		}
	}
	return nil
}

// checkAddresses: each held entry is in its owner's record, each other one queued; runs are what the entries make.
func (i *inspector) checkAddresses() error {
	var current run
	cursor := i.addresses.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		a, err := parseAddress(k)
		if err != nil {
			return err
		}
		e, err := decodeEntry(v)
		if err != nil {
			return err
		}
		if err := i.checkEntry(a, e); err != nil {
			return err
		}
		if current.valid() && current.last.Next() == a {
			current.last = a
			continue
		}
		i.checkRun(current)
		current = run{a, a}
	}
	i.checkRun(current)
	return i.checkNumberOfRuns()
}

func (i *inspector) checkEntry(a netip.Addr, e entry) error {
	if _, ok := i.rows[e.pool]; !ok {
		i.add(a, "its pool %d has no row", e.pool)
	}
	switch e.state {
	case held:
		i.held[e.pool]++
		r, known, err := i.recordAt(e.record)
		if err != nil {
			return err
		}
		times := 0
		for _, l := range r.Leases {
			if l.Address == a {
				times++
			}
		}
		if !known || times != 1 {
			i.add(a, "it is held by %s, whose record has it %d times", i.holderOf(e.record), times)
		}
		return nil
	case released:
		i.released[e.pool]++
	}
	if i.queue.Get(queueKey(e.state, e.pool, e.at, addressKey(a))) == nil {
		i.add(a, "it is not held, and not in the queue")
	}
	return nil
}

// checkRun: a maximal run of entries is one run.
func (i *inspector) checkRun(r run) {
	if r.valid() && !bytes.Equal(i.runs.Get(addressKey(r.first)), addressKey(r.last)) {
		i.add(r.first, "addresses to %s have entries, and are not one run", r.last)
	}
}

// checkNumberOfRuns: with checkRun for each run of entries, an equal number says that there are no others.
func (i *inspector) checkNumberOfRuns() error {
	var before netip.Addr
	var inRuns, entries int
	cursor := i.runs.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		r, err := parseRun(k, v)
		if err != nil {
			return err
		}
		if before.IsValid() && !before.Less(r.first) {
			i.add(r.first, "its run overlaps the one before, which ends at %s", before)
		}
		before = r.last
		a := r.first
		for ; a != r.last.Next(); a = a.Next() {
			inRuns++
			if i.addresses.Get(addressKey(a)) == nil {
				i.add(a, "it is in a run, and has no entry")
				break // one is enough: a wrong run may be endless
			}
		}
	}
	cursor = i.addresses.Cursor()
	for k, _ := cursor.First(); k != nil; k, _ = cursor.Next() {
		entries++
	}
	if inRuns != entries && len(i.problems) == 0 {
		i.add("runs", "they have %d addresses, and there are %d entries", inRuns, entries)
	}
	return nil
}

// checkQueue: each key is that of an entry.
func (i *inspector) checkQueue() error {
	cursor := i.queue.Cursor()
	for k, _ := cursor.First(); k != nil; k, _ = cursor.Next() {
		queued, a, err := parseQueueKey(k)
		if err != nil {
			return err
		}
		e, known, err := i.entry(a)
		if err != nil {
			return err
		}
		if !known || e != queued {
			i.add(a, "it is queued as %c, and its entry says otherwise", queued.state)
		}
	}
	return nil
}

func (i *inspector) checkCounters() error {
	for id, r := range i.rows {
		if r.held != i.held[id] || r.released != i.released[id] {
			i.add("pool "+r.name, "it counts %d held and %d released addresses, and has %d and %d", r.held, r.released, i.held[id], i.released[id])
		}
	}
	return nil
}

// fromTheFuture finds times that have not come yet.
func (b *book) fromTheFuture(now time.Duration) []Problem {
	var problems []Problem
	cursor := b.queue.Cursor()
	for k, _ := cursor.First(); k != nil; k, _ = cursor.Next() {
		e, a, err := parseQueueKey(k)
		if err == nil && e.state == released && e.at > now {
			problems = append(problems, Problem{Object: a.String(), Message: fmt.Sprintf("it is released at %s, and it is %s", e.at, now)})
		}
	}
	return problems
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
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
	i := &inspector{book: b, rows: map[poolID]poolRow{}, held: map[string]uint64{}, released: map[poolID]uint64{}, inUse: map[netip.Addr]string{}}
	for _, step := range []func() error{i.readRows, i.readRecords, i.readWaiting, i.checkRuns, i.checkQueue, i.checkCounters} {
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
	// inUse says of each address in a record, or waiting, where it was seen.
	inUse map[netip.Addr]string
	// held and released addresses as counted, by pool.
	held     map[string]uint64
	released map[poolID]uint64
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

// find looks an entry up: on a damaged page what is met on the way from first to last may not be found by its key, or the search may fault.
func (i *inspector) find(name string, bucket *bbolt.Bucket, key, value []byte) {
	if !bytes.Equal(bucket.Get(key), value) {
		i.add("bucket "+name, "the key %q is not found", key)
	}
}

// see notes where an address was seen: it must be in one place.
func (i *inspector) see(a netip.Addr, where string) {
	if before, ok := i.inUse[a]; ok {
		i.add(a, "it is in %s and in %s", before, where)
	}
	i.inUse[a] = where
}

func (i *inspector) readRecords() error {
	cursor := i.records.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		r, err := decodeRecord(v)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("the record of container %s, interface %s", r.ContainerID, r.IfName)
		if recordID(k) != recordKey(r.Owner) {
			i.add(name, "it stands under the key %q", k)
		}
		if len(r.Leases) == 0 {
			i.add(name, "it has no address")
		}
		i.find("records", i.records, k, v)
		for _, l := range r.Leases {
			i.see(l.Address, name)
			i.held[l.Pool]++
		}
	}
	return nil
}

// readWaiting: each waiting address is queued.
func (i *inspector) readWaiting() error {
	cursor := i.waiting.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		a, err := parseAddress(k)
		if err != nil {
			return err
		}
		e, err := decodeEntry(v)
		if err != nil {
			return err
		}
		i.find("waiting", i.waiting, k, v)
		i.see(a, "the waiting ones")
		if e.state == released {
			i.released[e.pool]++
		}
		if _, ok := i.rows[e.pool]; !ok {
			i.add(a, "its pool %d has no row", e.pool)
		}
		if i.queue.Get(queueKey(e.state, e.pool, e.at, k)) == nil {
			i.add(a, "it waits, and is not in the queue")
		}
	}
	return nil
}

// checkRuns: the runs are what the addresses in use make, and maximal.
func (i *inspector) checkRuns() error {
	var before run
	left := maps.Clone(i.inUse)
	cursor := i.runs.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		r, err := parseRun(k, v)
		if err != nil {
			return err
		}
		i.find("runs", i.runs, k, v)
		if before.valid() && (!before.last.Less(r.first) || before.last.Next() == r.first) {
			i.add(r.first, "its run overlaps or touches the one before, which ends at %s", before.last)
		}
		before = r
		for a := r.first; a != r.last.Next(); a = a.Next() {
			if _, ok := i.inUse[a]; !ok {
				i.add(a, "it is in a run, and neither held nor waiting")
				break // one is enough: a wrong run may be endless
			}
			delete(left, a)
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(left), netip.Addr.Compare) {
		i.add(a, "it is in %s, and in no run", left[a])
	}
	return nil
}

// checkQueue: each key is that of an entry.
func (i *inspector) checkQueue() error {
	cursor := i.queue.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		i.find("queue", i.queue, k, v)
		queued, a, err := parseQueueKey(k)
		if err != nil {
			return err
		}
		e, err := i.look(a)
		if err != nil {
			return err
		}
		if e != queued {
			i.add(a, "it is queued as %c, and is something else", queued.state)
		}
	}
	return nil
}

func (i *inspector) checkCounters() error {
	for id, r := range i.rows {
		if r.held != i.held[r.name] || r.released != i.released[id] {
			i.add("pool "+r.name, "it counts %d held and %d released addresses, and has %d and %d", r.held, r.released, i.held[r.name], i.released[id])
		}
		delete(i.held, r.name)
	}
	for name := range i.held {
		i.add("pool "+name, "it has held addresses, and no row")
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

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net/netip"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// state of an address that the store remembers. Bytes of the file.
type state byte

const (
	// held by a record.
	held state = 'h'
	// released: at is when; it rests for its network's cooldown.
	released state = 'r'
	// quarantined: at is until when; something outside of the store uses the address.
	quarantined state = 'q'
)

// poolID stands for a pool's name in keys: 0 is no pool, which addresses have that were found in a live namespace when the store was made.
type poolID uint32

// entry is what the store knows of one address.
type entry struct {
	state  state
	pool   poolID
	at     time.Duration // of released and quarantined, since boot
	record recordID      // of held
}

// book is the store's buckets in one transaction. Its methods are the only ones that change addresses, queue, runs and the counters of pools.
//
// Invariants, between any two of its exported-like steps (put, forget, putRecord, dropRecord) and so in every committed file:
//
//   - addresses: the key is an address, the value its entry. An address without entry is fresh: not used since boot, or forgotten.
//   - queue: one key (state, pool, time, address) for each released or quarantined entry, and no other; so a pool's oldest is found at once.
//   - runs: the addresses of all entries as maximal runs: first to last address; no two runs touch. So the next fresh address is found without
//     looking at each one.
//   - pools: one row for each pool that has ever handed out an address; its counters are the numbers of its held and of its released entries.
//   - records: each address of a record is held by it, and each held entry's record has that address.
//
// Nothing here costs more than O(log n) of the addresses in use; nothing depends on a range's size.
type book struct {
	records, addresses, queue, runs, pools *bbolt.Bucket
	// changed says that the transaction must be committed.
	changed bool
}

// bucketNames in the order of book's fields; the file's top level has these and the header's.
func bucketNames() []string {
	return []string{"records", "addresses", "queue", "runs", "pools"}
}

func openBook(tx *bbolt.Tx) (*book, error) {
	b := &book{}
	targets := []**bbolt.Bucket{&b.records, &b.addresses, &b.queue, &b.runs, &b.pools}
	for i, name := range bucketNames() {
		bucket := tx.Bucket([]byte(name))
		if bucket == nil {
			return nil, damaged("bucket %s is missing", name)
		}
		*targets[i] = bucket
	}
	return b, nil
}

// entry of an address; false for a fresh one.
func (b *book) entry(a netip.Addr) (entry, bool, error) {
	value := b.addresses.Get(addressKey(a))
	if value == nil {
		return entry{}, false, nil
	}
	e, err := decodeEntry(value)
	return e, true, err
}

// put gives an address a new entry.
func (b *book) put(a netip.Addr, e entry) error {
	old, known, err := b.entry(a)
	if err != nil {
		return err
	}
	key := addressKey(a)
	if known {
		err = b.unlink(key, old)
	} else {
		err = b.addToRuns(a)
	}
	if err != nil {
		return err
	}
	if err := b.addresses.Put(key, encodeEntry(e)); err != nil {
		return err
	}
	b.changed = true
	return b.link(key, e)
}

// forget makes an address fresh.
func (b *book) forget(a netip.Addr) error {
	old, known, err := b.entry(a)
	if err != nil || !known {
		return err
	}
	key := addressKey(a)
	if err := b.unlink(key, old); err != nil {
		return err
	}
	if err := b.addresses.Delete(key); err != nil {
		return err
	}
	b.changed = true
	return b.removeFromRuns(a)
}

// link adds an entry to queue and counters; unlink takes it away.
func (b *book) link(key []byte, e entry) error {
	if e.state != held {
		if err := b.queue.Put(queueKey(e.state, e.pool, e.at, key), []byte{}); err != nil {
			return err
		}
	}
	return b.count(e, +1)
}

func (b *book) unlink(key []byte, e entry) error {
	if e.state != held {
		if err := b.queue.Delete(queueKey(e.state, e.pool, e.at, key)); err != nil {
			return err
		}
	}
	return b.count(e, -1)
}

// oldest is the first of a pool's addresses of one state; false if there is none.
func (b *book) oldest(s state, pool poolID) (netip.Addr, time.Duration, bool, error) {
	prefix := queuePrefix(s, pool)
	key, _ := b.queue.Cursor().Seek(prefix)
	if len(key) < len(prefix) || !slices.Equal(key[:len(prefix)], prefix) {
		return netip.Addr{}, 0, false, nil
	}
	e, a, err := parseQueueKey(key)
	return a, e.at, err == nil, err
}

func encodeEntry(e entry) []byte {
	value := queuePrefix(e.state, e.pool)
	if e.state == held {
		return append(value, e.record...)
	}
	return appendTime(value, e.at)
}

func decodeEntry(value []byte) (entry, error) {
	const fixed = 1 + 4
	if len(value) <= fixed {
		return entry{}, damaged("%q is not the entry of an address", value)
	}
	e := entry{state: state(value[0]), pool: readPoolID(value[1:])}
	switch {
	case e.state == held:
		e.record = recordID(value[fixed:])
		return e, nil
	case (e.state == released || e.state == quarantined) && len(value) == fixed+8:
		e.at = readTime(value[fixed:])
		return e, nil
	}
	return entry{}, damaged("%q is not the entry of an address", value)
}

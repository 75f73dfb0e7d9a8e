// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net/netip"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// state of an address. Those of waiting addresses are bytes of the file.
type state byte

const (
	// fresh: not used since boot, or forgotten.
	fresh state = 0
	// held by a record.
	held state = 'h'
	// released: at is when; it rests for its network's cooldown.
	released state = 'r'
	// quarantined: at is until when; something outside of the store uses the address.
	quarantined state = 'q'
)

// poolID stands for a pool's name in keys: 0 is no pool, which addresses have that were found in a live namespace when the store was made.
type poolID uint32

// entry is what the store knows of one address. Only waiting ones, released or quarantined, have a pool and a time.
type entry struct {
	state state
	pool  poolID
	at    time.Duration // since boot
}

// book is the store's buckets in one transaction. Its methods are the only ones that change runs, waiting, queue and the counters of pools.
//
// Invariants, between any two calls of hold, wait, forget, putRecord and dropRecord, and so in every committed file:
//
//   - runs: the addresses that are held or waiting, as maximal runs: first to last; no two runs touch. So the next fresh address is found without
//     looking at each one.
//   - waiting: the key is a released or quarantined address, the value its entry. An address in a run and not in here is held.
//   - queue: one key (state, pool, time, address) for each waiting address, and no other; so a pool's oldest is found at once.
//   - records: each held address is in one record, once, and each address of a record is held.
//   - pools: one row for each pool that has ever handed out an address; its counters are the numbers of its held and of its released addresses.
//
// Nothing here costs more than O(log n) of the addresses in use; nothing depends on a range's size. A node whose pods come and go writes the pages of a
// record and those of four small buckets.
type book struct {
	records, runs, waiting, queue, pools *bbolt.Bucket
	// changed says that the transaction must be committed.
	changed bool
}

// bucketNames in the order of book's fields; the file's top level has these and the header's.
func bucketNames() []string {
	return []string{"records", "runs", "waiting", "queue", "pools"}
}

func openBook(tx *bbolt.Tx) (*book, error) {
	b := &book{}
	targets := []**bbolt.Bucket{&b.records, &b.runs, &b.waiting, &b.queue, &b.pools}
	for i, name := range bucketNames() {
		bucket := tx.Bucket([]byte(name))
		if bucket == nil {
			return nil, damaged("bucket %s is missing", name)
		}
		*targets[i] = bucket
	}
	return b, nil
}

// look says what an address is.
func (b *book) look(a netip.Addr) (entry, error) {
	if value := b.waiting.Get(addressKey(a)); value != nil {
		return decodeEntry(value)
	}
	r, err := b.runOf(a)
	if err == nil && r.valid() {
		return entry{state: held}, nil
	}
	return entry{}, err
}

// hold makes an address held, which it must not be yet: nothing is ever held twice.
func (b *book) hold(a netip.Addr) error {
	e, err := b.look(a)
	switch {
	case err != nil:
		return err
	case e.state == held:
		return damaged("address %s was to be held twice", a)
	case e.state == fresh:
		return b.addToRuns(a)
	}
	return b.unlink(a, e)
}

// wait makes an address wait as e says.
func (b *book) wait(a netip.Addr, e entry) error {
	old, err := b.look(a)
	switch {
	case err != nil:
		return err
	case old.state == fresh:
		err = b.addToRuns(a)
	case old.state != held:
		err = b.unlink(a, old)
	}
	if err != nil {
		return err
	}
	key := addressKey(a)
	if err := b.waiting.Put(key, encodeEntry(e)); err != nil {
		return err
	}
	if err := b.queue.Put(queueKey(e.state, e.pool, e.at, key), []byte{}); err != nil {
		return err
	}
	b.changed = true
	return b.countReleased(e, +1)
}

// forget makes an address fresh.
func (b *book) forget(a netip.Addr) error {
	e, err := b.look(a)
	if err != nil || e.state == fresh {
		return err
	}
	if e.state != held {
		if err := b.unlink(a, e); err != nil {
			return err
		}
	}
	b.changed = true
	return b.removeFromRuns(a)
}

// unlink ends an address's waiting: it is held then.
func (b *book) unlink(a netip.Addr, e entry) error {
	key := addressKey(a)
	if err := b.waiting.Delete(key); err != nil {
		return err
	}
	if err := b.queue.Delete(queueKey(e.state, e.pool, e.at, key)); err != nil {
		return err
	}
	b.changed = true
	return b.countReleased(e, -1)
}

// oldest is the first of a pool's addresses of one state; false if there is none.
func (b *book) oldest(s state, pool poolID) (netip.Addr, time.Duration, bool, error) {
	prefix := queuePrefix(s, pool)
	key, _ := b.queue.Cursor().Seek(prefix)
	if len(key) < len(prefix) || !slices.Equal(key[:len(prefix)], prefix) {
		return netip.Addr{}, 0, false, nil
	}
	e, a, err := parseQueueKey(key)
	if err != nil {
		return netip.Addr{}, 0, false, err
	}
	// Who takes the oldest out of the queue does so by its entry: a key of no entry would be the oldest for ever.
	is, err := b.look(a)
	if err == nil && is != e {
		err = damaged("address %s is queued as %c, and is something else", a, e.state)
	}
	return a, e.at, err == nil, err
}

func encodeEntry(e entry) []byte {
	return appendTime(queuePrefix(e.state, e.pool), e.at)
}

func decodeEntry(value []byte) (entry, error) {
	if len(value) != 1+4+8 || state(value[0]) != released && state(value[0]) != quarantined {
		return entry{}, damaged("%q is not the entry of an address", value)
	}
	return entry{state: state(value[0]), pool: readPoolID(value[1:]), at: readTime(value[5:])}, nil
}

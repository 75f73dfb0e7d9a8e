// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// The checker finds each kind of broken invariant; else "finds nothing" would mean nothing.
func TestCheckFinds(t *testing.T) {
	first, second := netip.MustParseAddr("10.0.1.0"), netip.MustParseAddr("10.0.1.1")
	entryOf := func(b *book, a netip.Addr) entry {
		e, err := b.look(a)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	changeRecord := func(id string, change func(r *Record)) func(b *book) error {
		return func(b *book) error {
			r, _, err := b.record(owner(id))
			if err != nil {
				return err
			}
			change(&r)
			return b.writeRecord(r)
		}
	}
	for name, c := range map[string]struct {
		damage func(b *book) error
		want   string
	}{
		"record of an address that waits": {changeRecord("a", func(r *Record) { r.Leases[0].Address = second }),
			"10.0.1.1: it is in the record of container a, interface eth0 and in the waiting ones"},
		"record of a fresh address": {changeRecord("a", func(r *Record) { r.Leases[0].Address = netip.MustParseAddr("10.0.1.3") }),
			"10.0.1.3: it is in the record of container a, interface eth0, and in no run"},
		"address without its record": {func(b *book) error { return b.records.Delete([]byte(recordKey(owner("a")))) },
			"10.0.1.0: it is in a run, and neither held nor waiting"},
		"address held twice": {changeRecord("b", func(r *Record) { r.Leases[0].Address = first }),
			"10.0.1.0: it is in the record of container "},
		"address twice in a record": {changeRecord("a", func(r *Record) { r.Leases = append(r.Leases, r.Leases[0]) }),
			"10.0.1.0: it is in the record of container a, interface eth0 and in the record of container a, interface eth0"},
		"record without addresses": {func(b *book) error { return b.writeRecord(Record{Owner: owner("x")}) },
			"the record of container x, interface eth0: it has no address"},
		"record under a wrong key": {func(b *book) error {
			return b.records.Put([]byte("cxeth0"), b.records.Get([]byte(recordKey(owner("a")))))
		}, `it stands under the key "cxeth0"`},
		"pool of another name": {changeRecord("a", func(r *Record) { r.Leases[0].Pool = "other" }),
			"pool other: it has held addresses, and no row"},
		"waiting and not queued": {func(b *book) error {
			e := entryOf(b, second)
			return b.queue.Delete(queueKey(e.state, e.pool, e.at, addressKey(second)))
		}, "10.0.1.1: it waits, and is not in the queue"},
		"queued and not waiting": {func(b *book) error {
			return b.queue.Put(queueKey(released, 1, time.Minute, addressKey(first)), nil)
		}, "10.0.1.0: it is queued as r, and is something else"},
		"no row": {func(b *book) error { return b.pools.Delete(appendPoolID(nil, 1)) },
			"10.0.1.1: its pool 1 has no row"},
		"wrong counter":  {func(b *book) error { return b.countHeld("net.0.v4.node", +1) }, "pool net.0.v4.node: it counts 3 held and 1 released addresses, and has 2 and 1"},
		"two rows":       {func(b *book) error { return b.putRow(poolRow{id: 7, name: "net.0.v4.node"}) }, "pool net.0.v4.node: it has two rows"},
		"id not given":   {func(b *book) error { return b.putRow(poolRow{id: 7, name: "x"}) }, "pool x: its id 7 has not been given yet"},
		"no run":         {func(b *book) error { return b.runs.Delete(addressKey(first)) }, "10.0.1.0: it is in the record of container a, interface eth0, and in no run"},
		"run too long":   {func(b *book) error { return b.runs.Put(addressKey(first), addressKey(first.Next().Next().Next())) }, "10.0.1.3: it is in a run, and neither held nor waiting"},
		"run too short":  {func(b *book) error { return b.runs.Put(addressKey(first), addressKey(second)) }, "10.0.1.2: it is in the record of container b, interface eth0, and in no run"},
		"run of nothing": {func(b *book) error { a := addressKey(netip.MustParseAddr("fd00::")); return b.runs.Put(a, a) }, "fd00::: it is in a run, and neither held nor waiting"},
		"runs that overlap": {func(b *book) error { return b.runs.Put(addressKey(second), addressKey(second)) },
			"10.0.1.1: its run overlaps or touches the one before, which ends at 10.0.1.2"},
		"runs that touch": {func(b *book) error {
			return errors.Join(b.runs.Put(addressKey(first), addressKey(first)), b.runs.Put(addressKey(second), addressKey(second.Next())))
		}, "10.0.1.1: its run overlaps or touches the one before, which ends at 10.0.1.0"},
		"time": {func(b *book) error { return b.wait(second, entry{state: released, pool: 1, at: 2 * time.Hour}) },
			"10.0.1.1: it is released at 2h0m0s, and it is 1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ipv4())
			for _, id := range []string{"a", "x", "b"} { // 10.0.1.0 and .2 are held, .1 rests
				w.add(id)
			}
			w.del("x")
			s, err := Open(t.Context(), w.options)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if err := s.update(func(b *book) error { b.changed = true; return c.damage(b) }); err != nil {
				t.Fatal(err)
			}
			problems, err := s.Check()
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(problems); !strings.Contains(got, c.want) {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

// A process that is killed in a transaction leaves some of its pages, and not the meta page, which is written last: the store is as it was before.
// Here all pages but the meta page are left, and all but one more. They are taken from real transactions.
func TestTornTransactions(t *testing.T) {
	const pageSize, metas = 4096, 2
	w := newWorld(t, oneNode(onePool("IPv4", "10.0.1.0-10.0.3.255")))
	w.store(func(s *Store) {
		for i := range 200 {
			if _, err := s.Allocate(w.node, request(fmt.Sprintf("c%03d", i))); err != nil {
				t.Fatal(err)
			}
		}
	})
	for i := range 60 {
		before := must(readPadded(w.path(), 0))
		recordsBefore := w.records()
		if i%3 == 0 {
			w.add(fmt.Sprintf("new%d", i))
		} else {
			w.del(fmt.Sprintf("c%03d", i*3))
		}
		w.now += time.Second
		after := must(readPadded(w.path(), len(before)))
		before = append(before, make([]byte, len(after)-len(before))...)
		var changed []int // pages
		for p := metas; p < len(after)/pageSize; p++ {
			if string(before[p*pageSize:(p+1)*pageSize]) != string(after[p*pageSize:(p+1)*pageSize]) {
				changed = append(changed, p)
			}
		}
		if len(changed) < 2 {
			t.Fatalf("transaction %d wrote only the pages %v", i, changed)
		}
		for skip := -1; skip < len(changed); skip++ {
			torn := append([]byte{}, before...)
			for n, p := range changed {
				if n != skip {
					copy(torn[p*pageSize:], after[p*pageSize:(p+1)*pageSize])
				}
			}
			copyOf := newWorld(t, w.node)
			copyOf.now = w.now
			if err := os.WriteFile(copyOf.path(), torn, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := copyOf.records(); got != recordsBefore { // and the checker finds nothing
				t.Fatalf("transaction %d without page %d of %v: records changed", i, skip, changed)
			}
		}
	}
}

// readPadded reads a file and makes it at least so long.
func readPadded(path string, length int) ([]byte, error) {
	data, err := os.ReadFile(path)
	return append(data, make([]byte, max(0, length-len(data)))...), err
}

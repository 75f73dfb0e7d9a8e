// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
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
		e, _, err := b.entry(a)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for name, c := range map[string]struct {
		damage func(b *book) error
		want   string
	}{
		"record without its address": {func(b *book) error { return b.forget(first) },
			"record of container a, interface eth0: its address 10.0.1.0 is not held"},
		"address without its record": {func(b *book) error { return b.records.Delete([]byte(recordKey(owner("a")))) },
			"10.0.1.0: it is held by record "},
		"address held twice": {func(b *book) error {
			r, _, err := b.record(owner("b"))
			r.Leases = append(r.Leases, Lease{Address: first, Pool: "net.0.v4.node"})
			if err != nil {
				return err
			}
			return b.writeRecord(r)
		}, "record of container b, interface eth0: its address 10.0.1.0 is held by pod default/pod-a (eth0)"},
		"address twice in a record": {func(b *book) error {
			r, _, err := b.record(owner("a"))
			r.Leases = append(r.Leases, r.Leases[0])
			if err != nil {
				return err
			}
			return b.writeRecord(r)
		}, "whose record has it 2 times"},
		"record without addresses": {func(b *book) error { return b.writeRecord(Record{Owner: owner("x")}) },
			"record of container x, interface eth0: it has no address"},
		"record under a wrong key": {func(b *book) error {
			return b.records.Put([]byte("cxeth0"), b.records.Get([]byte(recordKey(owner("a")))))
		}, `it stands under the key "cxeth0"`},
		"pool of another name": {func(b *book) error {
			r, _, err := b.record(owner("a"))
			r.Leases[0].Pool = "other"
			if err != nil {
				return err
			}
			return b.writeRecord(r)
		}, `its address 10.0.1.0 is of pool "other", and counted in "net.0.v4.node"`},
		"released and not queued": {func(b *book) error { return b.unlink(addressKey(second), entryOf(b, second)) },
			"10.0.1.1: it is not held, and not in the queue"},
		"queued and not released": {func(b *book) error {
			return b.queue.Put(queueKey(released, 1, time.Minute, addressKey(first)), nil)
		}, "10.0.1.0: it is queued as r, and its entry says otherwise"},
		"no row": {func(b *book) error { return b.pools.Delete(appendPoolID(nil, 1)) },
			"10.0.1.0: its pool 1 has no row"},
		"wrong counter": {func(b *book) error {
			r, err := b.row("net.0.v4.node")
			r.held++
			if err != nil {
				return err
			}
			return b.putRow(r)
		}, "pool net.0.v4.node: it counts 3 held and 1 released addresses, and has 2 and 1"},
		"two rows": {func(b *book) error { return b.putRow(poolRow{id: 7, name: "net.0.v4.node"}) },
			"pool net.0.v4.node: it has two rows"},
		"id not given": {func(b *book) error { return b.putRow(poolRow{id: 7, name: "x"}) },
			"pool x: its id 7 has not been given yet"},
		"no run":         {func(b *book) error { return b.runs.Delete(addressKey(first)) }, "10.0.1.0: addresses to 10.0.1.2 have entries, and are not one run"},
		"run too long":   {func(b *book) error { return b.runs.Put(addressKey(first), addressKey(first.Next().Next().Next())) }, "10.0.1.3: it is in a run, and has no entry"},
		"run too short":  {func(b *book) error { return b.runs.Put(addressKey(first), addressKey(second)) }, "are not one run"},
		"run of nothing": {func(b *book) error { a := addressKey(netip.MustParseAddr("fd00::")); return b.runs.Put(a, a) }, "fd00::: it is in a run, and has no entry"},
		"runs that overlap": {func(b *book) error { return b.runs.Put(addressKey(second), addressKey(second)) },
			"10.0.1.1: its run overlaps the one before, which ends at 10.0.1.2"},
		"time": {func(b *book) error { return b.put(second, entry{state: released, pool: 1, at: 2 * time.Hour}) },
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
		if len(changed) < 3 {
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

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// FuzzEntries puts any bytes as keys and values into each bucket of a store. Whatever is in there, the next call works, by what it reads or by a successor;
// and the address that a live namespace holds is not handed out, unless the store is consistent, and says that it is free.
func FuzzEntries(f *testing.F) {
	w := newWorld(f, ipv4())
	w.add("a")
	w.add("b")
	w.del("b")
	w.store(func(s *Store) {
		err := s.attempt(false, func(tx *bbolt.Tx) (bool, error) {
			for i, name := range append(bucketNames(), "header") {
				cursor := tx.Bucket([]byte(name)).Cursor()
				for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
					f.Add(byte(i), bytes.Clone(k), bytes.Clone(v))
					f.Add(byte(i), bytes.Clone(k), bytes.Clone(v[:len(v)/2]))
				}
			}
			return false, nil
		})
		if err != nil {
			f.Fatal(err)
		}
	})
	f.Fuzz(func(t *testing.T, bucket byte, key, value []byte) {
		if len(key) == 0 || len(key) > bbolt.MaxKeySize {
			t.Skip("bbolt takes no such key")
		}
		readsAlike(t, value)
		w := newWorld(t, ipv4())
		w.add("a")
		w.add("b")
		w.del("b")
		w.finds("a eth0 10.0.1.0")
		names := append(bucketNames(), "header")
		s, err := Open(t.Context(), w.options)
		if err != nil {
			t.Fatal(err)
		}
		err = s.attempt(true, func(tx *bbolt.Tx) (bool, error) {
			return true, tx.Bucket([]byte(names[int(bucket)%len(names)])).Put(key, value)
		})
		if err != nil {
			t.Fatal(err)
		}
		problems, checkErr := s.Check()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		w.now += time.Hour
		if s, err = Open(t.Context(), w.options); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		consistent := checkErr == nil && len(problems) == 0
		for _, id := range []string{"x", "y", "z"} {
			a, err := s.Allocate(w.node, request(id))
			if isRefusal(err) {
				break // the pool is full of what was put there
			}
			if err != nil {
				t.Fatal(err)
			}
			if consistent && a.Record.Addresses()[0] == netip.MustParseAddr("10.0.1.0") {
				t.Errorf("10.0.1.0 is held, and %s got it", id)
			}
		}
		if _, err := s.Release(owner("a"), "/run/netns/a"); err != nil {
			t.Error(err)
		}
		if _, err := s.Usage(w.node); err != nil {
			t.Error(err)
		}
		if _, err := s.List(); err != nil {
			t.Error(err)
		}
	})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// Release takes an interface's addresses back, to rest before reuse. An owner without addresses is no error: DEL may come twice, or without an ADD.
// It needs no node file. The path of the network namespace, which may be empty, finds addresses that were found in it when the store was made anew.
// The records that were removed are returned.
func (s *Store) Release(owner Owner, netnsPath string) ([]Record, error) {
	return s.remove(s.rest, func(b *book) ([]Record, error) {
		r, known, err := b.record(owner)
		if err != nil || known {
			return []Record{r}, err
		}
		if some, err := b.someFound(); netnsPath == "" || err != nil || !some {
			return nil, err
		}
		found, err := b.recordsWith(string(rune(kindFound)))
		return slices.DeleteFunc(found, func(r Record) bool { return r.IfName != owner.IfName || !samePath(r.Netns.Path, netnsPath) }), err
	})
}

// samePath says whether two paths of network namespaces are one, by names alone: the file may be gone. Mounts are listed below /run, and runtimes say
// /var/run, which leads there.
func samePath(a, b string) bool {
	short := func(path string) string {
		path = filepath.Clean(path)
		if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
			return "/run/" + rest
		}
		return path
	}
	return short(a) == short(b)
}

// ReleaseContainer takes back the addresses of all interfaces of a container.
func (s *Store) ReleaseContainer(containerID string) ([]Record, error) {
	return s.remove(s.rest, func(b *book) ([]Record, error) {
		list, err := b.recordsWith(containerPrefix(containerID))
		return slices.DeleteFunc(list, func(r Record) bool { return r.ContainerID != containerID }), err
	})
}

// Cancel takes back the addresses of an ADD that failed, after its link is gone: nobody has seen them, so they need no rest, and a pod that fails
// again and again does not use up its pool.
func (s *Store) Cancel(owner Owner) error {
	_, err := s.remove((*book).forgetHeld, func(b *book) ([]Record, error) {
		r, known, err := b.record(owner)
		if err != nil || !known {
			return nil, err
		}
		return []Record{r}, nil
	})
	return err
}

// remove drops the records that find lists; give says what becomes of their addresses.
func (s *Store) remove(give func(b *book, a netip.Addr, pool poolID) error, find func(b *book) ([]Record, error)) ([]Record, error) {
	var list []Record
	err := s.update(func(b *book) error {
		var err error
		if list, err = find(b); err != nil {
			return err
		}
		for _, r := range list {
			if err := b.dropRecord(r, func(a netip.Addr, pool poolID) error { return give(b, a, pool) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// rest lets an address wait in its pool's queue.
func (s *Store) rest(b *book, a netip.Addr, pool poolID) error {
	return b.wait(a, entry{state: released, pool: pool, at: s.options.Now()})
}

func (b *book) forgetHeld(a netip.Addr, _ poolID) error { return b.forget(a) }

// Get gives an owner's record; false if it has none.
func (s *Store) Get(owner Owner) (Record, bool, error) {
	var r Record
	var known bool
	err := s.view(func(b *book) error {
		var err error
		r, known, err = b.record(owner)
		return err
	})
	return r, known, err
}

// List gives all records, by container id and interface.
func (s *Store) List() ([]Record, error) {
	var list []Record
	err := s.view(func(b *book) error {
		var err error
		list, err = b.recordsWith("")
		return err
	})
	return list, err
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// schema of the buckets. A store of another one is set aside like a damaged one: its addresses are found again in the live namespaces.
const schema = 1

// keepAside is how many damaged stores are kept for people to look at: /run is memory.
const keepAside = 3

// header is the store's first word about itself: bucket header, key header.
type header struct {
	Schema int    `json:"schema"`
	BootID string `json:"bootID"`
	// Created since boot.
	Created time.Duration `json:"created"`
}

func headerKey() []byte { return []byte("header") }

// checkHeader says whether the store is one of this boot that we can read.
func (s *Store) checkHeader(tx *bbolt.Tx) error {
	bucket := tx.Bucket(headerKey())
	if bucket == nil {
		return damaged("it has no header")
	}
	h, err := decodeHeader(bucket.Get(headerKey()))
	if err != nil {
		return damaged("its header cannot be read: %w", err)
	}
	if h.BootID != s.options.BootID {
		return &otherBootError{bootID: h.BootID}
	}
	if h.Schema != schema {
		return damaged("it is of schema %d, and this program reads schema %d: it was written by another release", h.Schema, schema)
	}
	return nil
}

// create makes a store that holds what live namespaces hold, and puts it in place of whatever is there. A process killed meanwhile leaves the old
// file, or none: never half a store, and never one that lacks an address in use.
func (s *Store) create() error {
	s.abandon()
	found, err := s.options.Found()
	if err != nil {
		return fmt.Errorf("the allocation store has to be made anew, and the addresses in use cannot be found, so none is handed out: %w", err)
	}
	temporary := s.path() + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return explain("remove an unfinished allocation store", temporary, err)
	}
	if err := s.openDB(temporary); err != nil {
		return err
	}
	err = s.attempt(true, func(tx *bbolt.Tx) (bool, error) { return true, s.fill(tx, found) })
	if err == nil {
		if err = os.Rename(temporary, s.path()); err != nil {
			err = explain("put the allocation store in place", s.path(), err)
		}
	}
	if err != nil {
		s.abandon()
		_ = os.Remove(temporary)
	}
	return err
}

// fill makes the buckets of a new store.
func (s *Store) fill(tx *bbolt.Tx, found []Found) error {
	for _, name := range append(bucketNames(), string(headerKey())) {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	value, err := json.Marshal(header{Schema: schema, BootID: s.options.BootID, Created: s.options.Now()})
	if err != nil {
		return err
	}
	if err := tx.Bucket(headerKey()).Put(headerKey(), value); err != nil {
		return err
	}
	b, err := openBook(tx)
	if err != nil {
		return err
	}
	if err := b.putRow(poolRow{}); err != nil {
		return err
	}
	for _, r := range s.recordsOf(found) {
		if err := b.putRecord(r); err != nil {
			return err
		}
	}
	return nil
}

// recordsOf makes a record of each namespace's interface, under an id that no runtime gives.
func (s *Store) recordsOf(found []Found) []Record {
	records := map[Owner]*Record{}
	var owners []Owner
	seen := map[string]bool{}
	for _, f := range found {
		a := f.Address
		if !a.IsValid() || seen[a.String()] {
			s.options.Log(fmt.Sprintf("address %s is held twice or is none: namespace %s, interface %s", a, f.Netns.Path, f.IfName))
			continue
		}
		seen[a.String()] = true
		owner := foundOwner(f.Netns, f.IfName)
		r, ok := records[owner]
		if !ok {
			r = &Record{Owner: owner, MAC: f.MAC, Netns: f.Netns, Since: s.options.Now()}
			records[owner] = r
			owners = append(owners, owner)
		}
		r.Leases = append(r.Leases, Lease{Address: a})
	}
	list := make([]Record, len(owners))
	for i, o := range owners {
		list[i] = *records[o]
	}
	return list
}

func foundOwner(n Netns, ifName string) Owner {
	return Owner{ContainerID: foundPrefix + strconv.FormatUint(n.Inode, 10), IfName: ifName}
}

// replaceDamaged replaces an open store in which something was wrong, unless the whole of it can be read and is consistent: then the fault is ours,
// and the next try would meet it again, without the records.
func (s *Store) replaceDamaged(cause error) error {
	var d *damagedError
	if errors.As(cause, &d) && d.certain {
		return s.replace(cause)
	}
	err := s.openExisting()
	if err == nil {
		err = s.attempt(false, func(tx *bbolt.Tx) (bool, error) {
			problems, err := inspect(tx)
			if err == nil && len(problems) > 0 {
				err = damaged("%s", problems[0])
			}
			return false, err
		})
	}
	switch {
	case err == nil:
		return fmt.Errorf("an error of this program, not of the allocation store: %w", cause)
	case isDamaged(err):
		return s.replace(cause)
	}
	return err
}

// replace sets the store aside, with a note, and makes a successor.
func (s *Store) replace(cause error) error {
	s.abandon()
	aside, err := s.setAside(cause)
	if err != nil {
		return err
	}
	if err := s.create(); err != nil {
		return err
	}
	s.options.Log(fmt.Sprintf("the allocation store was set aside as %s and made anew from the addresses that live namespaces hold: %s", aside, firstLine(cause)))
	return nil
}

// setAside gives the store a second name beside a note; its own name stays until the successor takes it.
func (s *Store) setAside(cause error) (string, error) {
	numbers, err := s.asideNumbers()
	if err != nil {
		return "", explain("list the folder of the allocation store", s.options.Folder, err)
	}
	for _, n := range numbers[:max(0, len(numbers)-keepAside+1)] {
		name := s.asideName(n)
		_ = os.Remove(name)
		_ = os.Remove(name + ".txt")
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	aside := s.asideName(next)
	if err := os.Link(s.path(), aside); err != nil {
		return "", explain("set aside the damaged allocation store as", aside, err)
	}
	note := fmt.Sprintf("%s\nSet aside %s, boot %s.\nIts successor holds the addresses that live network namespaces held at that time. This file and the one it is about are safe to remove.\n",
		cause, time.Now().UTC().Format(time.RFC3339), s.options.BootID)
	_ = os.WriteFile(aside+".txt", []byte(note), 0o600) // the note is worth less than the pod that waits
	return aside, nil
}

func (s *Store) asideName(n int) string { return s.path() + ".bad-" + strconv.Itoa(n) }

// asideNumbers of the stores that were set aside so far, in order.
func (s *Store) asideNumbers() ([]int, error) {
	entries, err := os.ReadDir(s.options.Folder)
	if err != nil {
		return nil, err
	}
	prefix := filepath.Base(s.asideName(0))
	prefix = strings.TrimSuffix(prefix, "0")
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), prefix)); err == nil && strings.HasPrefix(e.Name(), prefix) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

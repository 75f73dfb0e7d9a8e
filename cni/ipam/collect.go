// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"time"
)

// minimumAge of a record that may be collected: an ADD that is slow, or was killed and is tried again, has not lost it.
const minimumAge = 2 * time.Minute

// Collection says what to collect.
type Collection struct {
	// Network limits collection to one network's records; all if empty. The CNI's GC verb must give it: other networks' attachments are not in its
	// list. Records found in live namespaces when the store was made belong to no network, so only the agent collects them.
	Network string
	// Valid owners keep their records unasked.
	Valid map[Owner]bool
	// Alive says whether a record's network namespace is still mounted at its path with its inode, and holds the record's interface or one of its
	// addresses. The store is not locked meanwhile. After an error the record stays.
	Alive func(Record) (bool, error)
}

// Collect frees what dead sandboxes left: records that are old enough, not valid, and not alive. It never frees an address whose namespace lives,
// whatever the list of valid owners says. What was freed is returned. The store is locked twice, for milliseconds.
func Collect(ctx context.Context, options Options, c Collection) ([]Record, error) {
	candidates, err := collectable(ctx, options, c)
	if err != nil {
		return nil, err
	}
	var dead []Record
	for _, r := range candidates {
		if ctx.Err() != nil {
			break // free what is known to be dead
		}
		if alive, err := c.Alive(r); err == nil && !alive {
			dead = append(dead, r)
		}
	}
	if len(dead) == 0 {
		return nil, ctx.Err()
	}
	s, err := Open(ctx, options)
	if err != nil {
		return nil, err
	}
	freed, err := s.releaseUnchanged(dead)
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	return freed, err
}

// collectable lists the records that may be collected if they are dead.
func collectable(ctx context.Context, options Options, c Collection) ([]Record, error) {
	s, err := Open(ctx, options)
	if err != nil {
		return nil, err
	}
	all, err := s.List()
	now := s.options.Now()
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	var list []Record
	for _, r := range all {
		mine := c.Network == "" || r.Network == c.Network
		if mine && !c.Valid[r.Owner] && now-r.Since > minimumAge {
			list = append(list, r)
		}
	}
	return list, err
}

// releaseUnchanged releases the records that are still as they were: an owner that asked again meanwhile has a younger one.
func (s *Store) releaseUnchanged(dead []Record) ([]Record, error) {
	return s.remove(s.rest, func(b *book) ([]Record, error) {
		var list []Record
		for _, old := range dead {
			r, known, err := b.record(old.Owner)
			if err != nil {
				return nil, err
			}
			if known && r.Since == old.Since && r.Netns == old.Netns {
				list = append(list, r)
			}
		}
		return list, nil
	})
}

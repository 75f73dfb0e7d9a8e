// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// exactSize is up to how many addresses a pool hands out in the exact order of their release, however long ago that was. 50 prefixes of 16, the most that
// any interface of AWS has, are 800.
const exactSize = 1024

// remembered is how many rested addresses a larger pool keeps in that order. The oldest beyond it are forgotten, which makes them fresh again, behind the
// cursor: so a /80 never fills the memory, its queue stays on the pages that are written anyway, and an address comes back after all that the cursor
// passes first.
const remembered = 16

// chooser chooses addresses of one pool in one transaction.
type chooser struct {
	*book
	pool *nodefile.Pool
	row  poolRow
	// open is what may be handed out now, sorted and without overlaps.
	open     []iprange.Range
	cooldown time.Duration
	now      time.Duration
	// chosen is the fresh address that next chose, if it did: the cursor moves there once the address is held.
	chosen netip.Addr
}

func newChooser(b *book, node *nodefile.File, p *nodefile.Pool, now time.Duration) (*chooser, error) {
	row, err := b.row(p.Name)
	if err != nil {
		return nil, err
	}
	return &chooser{book: b, pool: p, row: row, open: node.Open(p), cooldown: node.Network(p.Network).Cooldown(), now: now}, nil
}

// next chooses the least recently used address: a fresh one, else the one released longest ago, if it has rested. False if there is none. It holds
// nothing yet; it may forget entries that stand in the way.
func (c *chooser) next() (netip.Addr, bool, error) {
	if len(c.open) == 0 {
		return netip.Addr{}, false, nil
	}
	for _, step := range []func() error{c.endQuarantines, c.trim} {
		if err := step(); err != nil {
			return netip.Addr{}, false, err
		}
	}
	a, ok, err := c.fresh()
	if err != nil || ok {
		return a, ok, err
	}
	a, ok, err = c.rested()
	if err != nil || ok {
		return a, ok, err
	}
	if err := c.reclaim(); err != nil {
		return netip.Addr{}, false, err
	}
	return c.fresh()
}

// fresh is the first fresh address behind the cursor, or from the start.
func (c *chooser) fresh() (netip.Addr, bool, error) {
	behind := 0 // the first range that is not wholly before the cursor
	for behind < len(c.open) && c.row.cursor.IsValid() && !c.row.cursor.Less(c.open[behind].Last) {
		behind++
	}
	for i := range len(c.open) + 1 {
		r := c.open[(behind+i)%len(c.open)]
		first, last := r.First, r.Last
		if i == 0 && behind < len(c.open) && r.Contains(c.row.cursor) {
			first = c.row.cursor.Next() // exists: the cursor is before r.Last
		}
		a, ok, err := c.nextFresh(first, last)
		if err != nil {
			return netip.Addr{}, false, err
		}
		if ok {
			c.chosen = a
			return a, true, nil
		}
	}
	return netip.Addr{}, false, nil
}

// rested is the pool's oldest released address that may be handed out and has rested. Rested ones before it that may not (excluded, draining, no
// longer of the pool) are forgotten: each release pays for that once.
func (c *chooser) rested() (netip.Addr, bool, error) {
	for {
		a, at, ok, err := c.oldest(released, c.row.id)
		if err != nil || !ok || !c.hasRested(at) {
			return netip.Addr{}, false, err
		}
		if iprange.Contains(c.open, a) {
			return a, true, nil
		}
		if err := c.forget(a); err != nil {
			return netip.Addr{}, false, err
		}
	}
}

func (c *chooser) hasRested(released time.Duration) bool { return c.now-released >= c.cooldown }

// endQuarantines lets addresses whose quarantine is over queue as if they had rested just now.
func (c *chooser) endQuarantines() error {
	for {
		a, until, ok, err := c.oldest(quarantined, c.row.id)
		if err != nil || !ok || until > c.now {
			return err
		}
		if err := c.wait(a, entry{state: released, pool: c.row.id, at: max(0, until-c.cooldown)}); err != nil {
			return err
		}
	}
}

// trim forgets the oldest rested addresses of a large pool beyond remembered, a few each time: at most one comes in for each that is handed out.
func (c *chooser) trim() error {
	const step = 4
	if iprange.Size(c.open) <= exactSize {
		return nil
	}
	for range min(step, max(0, int64(c.row.released)-remembered)) {
		a, at, ok, err := c.oldest(released, c.row.id)
		if err != nil || !ok || !c.hasRested(at) {
			return err
		}
		if err := c.forget(a); err != nil {
			return err
		}
	}
	return nil
}

// reclaim forgets rested addresses of this pool that were released, or quarantined, under another pool's name: the range came from another network or
// interface, or the store was made anew. The last resort before the pool is exhausted, since it reads the other pools' queues.
func (c *chooser) reclaim() error {
	var stray []netip.Addr
	cursor := c.queue.Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		e, a, err := parseQueueKey(key)
		if err != nil {
			return err
		}
		over := e.state == quarantined && e.at <= c.now || e.state == released && c.hasRested(e.at)
		if over && e.pool != c.row.id && iprange.Contains(c.open, a) {
			stray = append(stray, a)
		}
	}
	for _, a := range stray {
		if err := c.forget(a); err != nil {
			return err
		}
	}
	return nil
}

// take checks that a certain address may be handed out; the error is a *TakenError or *RefusedError.
func (c *chooser) take(a netip.Addr) error {
	e, err := c.look(a)
	if err != nil {
		return err
	}
	switch {
	case !iprange.Contains(c.open, a):
		return refuse("requested address %s is excluded, draining or reserved in pool %s: ask for another one", a, c.pool.Name)
	case e.state == held:
		holder, err := c.holderOf(a)
		if err != nil {
			return err
		}
		return &TakenError{Address: a, Reason: "is held by " + holder}
	case e.state == quarantined && e.at > c.now:
		return &TakenError{Address: a, Reason: fmt.Sprintf("is used by something else on this node, and is tried again in %s", (e.at - c.now).Round(time.Second))}
	case e.state == released && !c.hasRested(e.at):
		return &TakenError{Address: a, Reason: fmt.Sprintf("was released %s ago and rests for %s more", (c.now - e.at).Round(time.Second), (e.at + c.cooldown - c.now).Round(time.Second))}
	}
	return nil
}

// holderOf names the owner of a held address as people know it. It reads all records: it is for an error message.
func (b *book) holderOf(a netip.Addr) (string, error) {
	all, err := b.recordsWith("")
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(r Record) bool { return slices.Contains(r.Addresses(), a) })
	if i < 0 {
		return "", damaged("address %s is held, and no record has it", a)
	}
	switch r := all[i]; {
	case r.Pod.Name != "":
		return fmt.Sprintf("pod %s/%s (%s)", r.Pod.Namespace, r.Pod.Name, r.IfName), nil
	case strings.HasPrefix(r.ContainerID, foundPrefix):
		return fmt.Sprintf("a pod in network namespace %s (%s)", r.Netns.Path, r.IfName), nil
	default:
		return fmt.Sprintf("container %s (%s)", r.ContainerID, r.IfName), nil
	}
}

// moveCursor remembers the fresh address that was chosen, if one was. The row is read again: its counters may have changed.
func (c *chooser) moveCursor() error {
	if !c.chosen.IsValid() {
		return nil
	}
	row, err := c.book.row(c.pool.Name)
	if err != nil {
		return err
	}
	row.cursor = c.chosen
	return c.putRow(row)
}

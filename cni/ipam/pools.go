// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/binary"
	"net/netip"
)

// poolRow is what the store remembers of a pool. Rows are few, one for each pool name since boot, and are never removed.
type poolRow struct {
	id   poolID
	name string
	// held and released count the pool's addresses of these states.
	held, released uint64
	// cursor is the fresh address chosen last, invalid at first: the search for the next goes on behind it and comes round, so that
	// forgotten addresses come last. Any value is right, in or out of the pool.
	cursor netip.Addr
}

// someFound says whether addresses are held that were found in live namespaces. It spares everybody else from looking for their records.
func (b *book) someFound() (bool, error) {
	key := appendPoolID(nil, 0)
	r, err := decodeRow(key, b.pools.Get(key))
	return r.held > 0, err
}

// row of a pool by name; a new one if it has none yet.
func (b *book) row(name string) (poolRow, error) {
	rows, err := b.rows()
	if err != nil {
		return poolRow{}, err
	}
	for _, r := range rows {
		if r.name == name {
			return r, nil
		}
	}
	id, err := b.pools.NextSequence()
	if err != nil {
		return poolRow{}, err
	}
	r := poolRow{id: poolID(id), name: name}
	return r, b.putRow(r)
}

// rows of all pools, by id.
func (b *book) rows() ([]poolRow, error) {
	var rows []poolRow
	cursor := b.pools.Cursor()
	for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
		r, err := decodeRow(k, v)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (b *book) putRow(r poolRow) error {
	b.changed = true
	return b.pools.Put(appendPoolID(nil, r.id), encodeRow(r))
}

// countHeld changes the counter of a pool's held addresses.
func (b *book) countHeld(pool string, by int) error {
	r, err := b.row(pool)
	if err != nil {
		return err
	}
	if r.held += uint64(by); int64(r.held) < 0 {
		return damaged("pool %q counts fewer held addresses than it has", r.name)
	}
	return b.putRow(r)
}

// countReleased changes the counter of an entry's pool, if it is a released one.
func (b *book) countReleased(e entry, by int) error {
	if e.state != released {
		return nil
	}
	key := appendPoolID(nil, e.pool)
	r, err := decodeRow(key, b.pools.Get(key))
	if err != nil {
		return err
	}
	if r.released += uint64(by); int64(r.released) < 0 {
		return damaged("pool %q counts fewer released addresses than it has", r.name)
	}
	return b.putRow(r)
}

// encodeRow: two counters, the length of the cursor, the cursor, the name.
func encodeRow(r poolRow) []byte {
	value := binary.BigEndian.AppendUint64(nil, r.held)
	value = binary.BigEndian.AppendUint64(value, r.released)
	var cursor []byte
	if r.cursor.IsValid() {
		cursor = addressKey(r.cursor)
	}
	value = append(value, byte(len(cursor)))
	value = append(value, cursor...)
	return append(value, r.name...)
}

func decodeRow(key, value []byte) (poolRow, error) {
	const fixed = 8 + 8 + 1
	if len(key) != 4 || len(value) < fixed || len(value) < fixed+int(value[16]) {
		return poolRow{}, damaged("%q is not the row of pool %x", value, key)
	}
	r := poolRow{
		id:       readPoolID(key),
		held:     binary.BigEndian.Uint64(value),
		released: binary.BigEndian.Uint64(value[8:]),
	}
	cursor, name := value[fixed:fixed+int(value[16])], value[fixed+int(value[16]):]
	r.name = string(name)
	if len(cursor) == 0 {
		return r, nil
	}
	var err error
	r.cursor, err = parseAddress(cursor)
	return r, err
}

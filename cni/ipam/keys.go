// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"
)

// Keys sort as bytes, so numbers are big-endian and an address starts with its family: 4 and four bytes, or 6 and sixteen.
const (
	familyIPv4 = '4'
	familyIPv6 = '6'
)

// addressKey is how an address is written in keys and values.
func addressKey(a netip.Addr) []byte {
	if a.Is4() {
		b := a.As4()
		return append([]byte{familyIPv4}, b[:]...)
	}
	b := a.As16()
	return append([]byte{familyIPv6}, b[:]...)
}

// parseAddress reads what addressKey wrote.
func parseAddress(key []byte) (netip.Addr, error) {
	switch {
	case len(key) == 5 && key[0] == familyIPv4:
		return netip.AddrFrom4([4]byte(key[1:])), nil
	case len(key) == 17 && key[0] == familyIPv6:
		return netip.AddrFrom16([16]byte(key[1:])), nil
	}
	return netip.Addr{}, damaged("%q is not an address", key)
}

// recordID is a record's key: what kind it is, a hash of the container id, and the interface's name. Runtimes' ids have 64 characters, and would fill the
// pages of addresses and records, each of which is one page fault in a process that has just started.
type recordID string

// The kinds of records: of containers, and of what was found in live namespaces when the store was made.
const (
	kindContainer = 'c'
	kindFound     = 'f'
)

// containerPrefix starts the keys of all records of a container: 96 bits do not collide by chance, and whoever reads a record compares its owner.
func containerPrefix(containerID string) string {
	kind := byte(kindContainer)
	if strings.HasPrefix(containerID, foundPrefix) {
		kind = kindFound
	}
	h := fnv.New128a()
	_, _ = h.Write([]byte(containerID)) // never fails
	return string(h.Sum([]byte{kind})[:1+12])
}

// recordKey is the key of an owner's record.
func recordKey(o Owner) recordID { return recordID(containerPrefix(o.ContainerID) + o.IfName) }

// queuePrefix is the start of all queue keys of one state and pool.
func queuePrefix(s state, pool poolID) []byte {
	return appendPoolID([]byte{byte(s)}, pool)
}

// queueKey orders a pool's addresses of one state by time, then address.
func queueKey(s state, pool poolID, at time.Duration, address []byte) []byte {
	return append(appendTime(queuePrefix(s, pool), at), address...)
}

// parseQueueKey reads what queueKey wrote.
func parseQueueKey(key []byte) (entry, netip.Addr, error) {
	const fixed = 1 + 4 + 8
	if len(key) <= fixed {
		return entry{}, netip.Addr{}, damaged("%q is not a key of the queue", key)
	}
	address, err := parseAddress(key[fixed:])
	return entry{state: state(key[0]), pool: readPoolID(key[1:]), at: readTime(key[5:])}, address, err
}

func appendPoolID(b []byte, id poolID) []byte { return binary.BigEndian.AppendUint32(b, uint32(id)) }
func readPoolID(b []byte) poolID              { return poolID(binary.BigEndian.Uint32(b)) }

// Times are nanoseconds since boot, never negative.
func appendTime(b []byte, at time.Duration) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(at))
}
func readTime(b []byte) time.Duration { return time.Duration(binary.BigEndian.Uint64(b)) }

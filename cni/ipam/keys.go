// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
)

// Keys sort as bytes, so numbers are big-endian and an address starts with its family: 4 and four bytes, or 6 and sixteen.
const (
	familyIPv4 = '4'
	familyIPv6 = '6'
)

// keySeparator stands between the parts of a record's key; neither a container id nor an interface name may hold it.
const keySeparator = "\x00"

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

// recordKey is the key of an owner's record.
func recordKey(o Owner) []byte {
	return []byte(o.ContainerID + keySeparator + o.IfName)
}

// parseRecordKey reads what recordKey wrote.
func parseRecordKey(key []byte) (Owner, error) {
	id, name, ok := strings.Cut(string(key), keySeparator)
	if !ok {
		return Owner{}, damaged("%q is not the key of a record", key)
	}
	return Owner{ContainerID: id, IfName: name}, nil
}

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

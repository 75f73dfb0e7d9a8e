// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// TestPlainRecords: records are the same bytes, and the same records, with and without encoding/json.
func TestPlainRecords(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	text := func() string {
		return []string{"", "ens5", "a-b_c.d:e", "/run/netns/cni-1", "ü", "<x>", `"`}[random.IntN(4+3*(random.IntN(20)/19))]
	}
	address := func() netip.Addr {
		return []netip.Addr{netip.MustParseAddr("10.0.1.7"), netip.MustParseAddr("2406:da1e::17"), {}}[random.IntN(3)]
	}
	plain := 0
	for range 20_000 {
		r := Record{
			Owner: Owner{ContainerID: text(), IfName: text()}, Network: text(), MAC: text(), Pod: Pod{Namespace: text(), Name: text(), UID: text()},
			Netns: Netns{Path: text(), Inode: random.Uint64() >> random.IntN(65)}, Since: time.Duration(random.Int64() >> random.IntN(64)),
		}
		for range random.IntN(3) {
			r.Leases = append(r.Leases, Lease{Address: address(), Pool: text()})
		}
		want, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := encodePlain(r); ok {
			plain++
			if string(got) != string(want) {
				t.Fatalf("written as %s, and by encoding/json as %s", got, want)
			}
		}
		damaged := append([]byte(nil), want...)
		damaged[random.IntN(len(damaged))] ^= byte(random.IntN(4) / 3 * random.IntN(256))
		readsAlike(t, damaged)
	}
	if plain < 500 {
		t.Errorf("%d records alone were plain", plain)
	}
}

// readsAlike: what is plain is the same to encoding/json.
func readsAlike(t *testing.T, value []byte) {
	t.Helper()
	if quick, plain := decodePlain(value); plain {
		var r Record
		if err := json.Unmarshal(value, &r); err != nil || !reflect.DeepEqual(quick, r) {
			t.Fatalf("read as %+v, and by encoding/json as %+v, error %v: %s", quick, r, err, value)
		}
	}
	if quick, plain := decodePlainHeader(value); plain {
		var h header
		if err := json.Unmarshal(value, &h); err != nil || quick != h {
			t.Fatalf("read as %+v, and by encoding/json as %+v, error %v: %s", quick, h, err, value)
		}
	}
}

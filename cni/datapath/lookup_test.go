// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typesFile writes a file of types, of (kind, members, name) each, whose names have that offset in front.
func typesFile(first int, list ...[3]any) []byte {
	order := binary.NativeEndian
	var records, names []byte
	names = append(names, 0)
	behind := map[int][2]int{1: {4, 0}, 3: {12, 0}, 4: {0, 12}, 6: {0, 8}, 13: {0, 8}, 17: {4, 0}, 19: {0, 12}}
	for _, one := range list {
		kind, members := one[0].(int), one[1].(int)
		records = order.AppendUint32(records, uint32(first+len(names)))
		records = order.AppendUint32(records, uint32(kind)<<24|uint32(members))
		records = order.AppendUint32(records, 0)
		records = append(records, make([]byte, behind[kind][0]+members*behind[kind][1])...)
		names = append(append(names, one[2].(string)...), 0)
	}
	data := order.AppendUint16(nil, 0xeb9f)
	data = append(data, 1, 0)
	for _, n := range []int{24, 0, len(records), len(records), len(names)} {
		data = order.AppendUint32(data, uint32(n))
	}
	return append(append(data, records...), names...)
}

// TestTypes finds functions in the kernel and in a module, whose types go on where the kernel's end.
func TestTypes(t *testing.T) {
	kernel := typesFile(0, [3]any{1, 0, "int"}, [3]any{4, 3, "nf_conn"}, [3]any{13, 2, ""}, [3]any{12, 0, "other"}, [3]any{12, 0, "find"})
	base, err := parseTypes(kernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	module, err := parseTypes(typesFile(len(base.names), [3]any{19, 1, "find"}, [3]any{17, 0, "tag"}, [3]any{12, 0, "release"}, [3]any{12, 0, "find"}), base)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		types *types
		want  map[string]uint32
	}{
		{"kernel", base, map[string]uint32{"find": 5}},
		{"module", module, map[string]uint32{"release": 8, "find": 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.types.functions("find", "release")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
	t.Run("what is cut short", func(t *testing.T) {
		for n := range len(kernel) {
			cut, err := parseTypes(kernel[:n], nil)
			if err != nil {
				continue
			}
			_, _ = cut.functions("find") // must not panic
		}
		if _, err := parseTypes(nil, nil); err == nil {
			t.Error("nothing is taken for types")
		}
	})
	t.Run("a kind of the future", func(t *testing.T) {
		future, err := parseTypes(typesFile(0, [3]any{30, 0, "x"}, [3]any{12, 0, "find"}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := future.functions("find"); err == nil {
			t.Error("it is passed over, and what follows may be wrong")
		}
	})
}

// TestLookupPrograms differ by what they match and by nothing else, and jump to where something is.
func TestLookupPrograms(t *testing.T) {
	names := map[string]int{}
	pods4, pods6 := netip.MustParsePrefix("172.31.28.16/28"), netip.MustParsePrefix("2406:da1e:c4:ed01:c57d::/80")
	for i, a := range []Answers{
		{Pods: []netip.Prefix{pods4}},
		{Pods: []netip.Prefix{pods6}},
		{Pods: []netip.Prefix{pods4, pods6}},
		{Pods: []netip.Prefix{pods4, pods6}, Node: []netip.Addr{netip.MustParseAddr("172.31.28.17")}},
		{Pods: []netip.Prefix{netip.MustParsePrefix("172.31.28.16/29"), pods6}},
	} {
		f, err := a.lookupFilter(7)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := names[f.loaded]; ok {
			t.Errorf("programs %d and %d have one name", other, i)
		}
		names[f.loaded] = i
		if again, err := a.lookupFilter(7); err != nil || again != f {
			t.Errorf("%+v, %v; want %+v again", again, err, f)
		}
	}
	many := Answers{}
	for i := range 20000 {
		many.Pods = append(many.Pods, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 32))
	}
	if _, err := many.lookupFilter(7); err == nil {
		t.Error("a jump that is too far for the kernel is written as a shorter one")
	}
}

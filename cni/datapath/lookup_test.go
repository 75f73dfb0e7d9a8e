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

// kernelType is one of a file's.
type kernelType struct {
	kind, members int
	name          string
}

// typesFile writes a file of types, whose names have that offset in front.
func typesFile(first int, list ...kernelType) []byte {
	order := binary.NativeEndian
	var records, names []byte
	names = append(names, 0)
	behind := map[int][2]int{1: {4, 0}, 3: {12, 0}, 4: {0, 12}, 6: {0, 8}, 13: {0, 8}, 17: {4, 0}, 19: {0, 12}}
	for _, one := range list {
		records = order.AppendUint32(records, uint32(first+len(names)))
		records = order.AppendUint32(records, uint32(one.kind)<<24|uint32(one.members))
		records = order.AppendUint32(records, 0)
		records = append(records, make([]byte, behind[one.kind][0]+one.members*behind[one.kind][1])...)
		names = append(append(names, one.name...), 0)
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
	kernel := typesFile(0, kernelType{1, 0, "int"}, kernelType{4, 3, "nf_conn"}, kernelType{13, 2, ""}, kernelType{12, 0, "other"}, kernelType{12, 0, "find"})
	base, err := parseTypes(kernel, nil)
	if err != nil {
		t.Fatal(err)
	}
	module, err := parseTypes(typesFile(len(base.names), kernelType{19, 1, "find"}, kernelType{17, 0, "tag"}, kernelType{12, 0, "release"}, kernelType{12, 0, "find"}), base)
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
		future, err := parseTypes(typesFile(0, kernelType{30, 0, "x"}, kernelType{12, 0, "find"}), nil)
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

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package iprange

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in, first, last, out string
		size                 int64
	}{
		{"10.0.0.16/28", "10.0.0.16", "10.0.0.31", "10.0.0.16/28", 16},
		{"10.0.0.16-10.0.0.31", "10.0.0.16", "10.0.0.31", "10.0.0.16/28", 16},
		{"10.0.0.4-10.0.0.9", "10.0.0.4", "10.0.0.9", "10.0.0.4-10.0.0.9", 6},
		{"10.0.0.4", "10.0.0.4", "10.0.0.4", "10.0.0.4", 1},
		{"10.0.0.4-10.0.0.4", "10.0.0.4", "10.0.0.4", "10.0.0.4", 1},
		{"10.0.0.4/32", "10.0.0.4", "10.0.0.4", "10.0.0.4", 1},
		{"0.0.0.0/0", "0.0.0.0", "255.255.255.255", "0.0.0.0/0", 1 << 32},
		{"fd00:0:0:0:c57d::/80", "fd00::c57d:0:0:0", "fd00::c57d:ffff:ffff:ffff", "fd00::c57d:0:0:0/80", 1 << 48},
		{"fd00::/64", "fd00::", "fd00::ffff:ffff:ffff:ffff", "fd00::/64", MaxSize},
		{"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0", MaxSize},
		{"fd00::1-fd00::2", "fd00::1", "fd00::2", "fd00::1-fd00::2", 2},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			r, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got := []any{r.First.String(), r.Last.String(), r.String(), r.Size()}
			if d := cmp.Diff([]any{tt.first, tt.last, tt.out, tt.size}, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ in, says string }{
		{"", "must be a CIDR"},
		{"10.0.0", "must be a CIDR"},
		{"10.0.0.0/33", "must be a CIDR"},
		{"10.0.0.4 - 10.0.0.9", "must be a CIDR"},
		{"10.0.0.1-10.0.0.2-10.0.0.3", "must be a CIDR"},
		{"10.0.0.5/28", "write 10.0.0.0/28"},
		{"10.0.0.9-10.0.0.4", "write 10.0.0.4-10.0.0.9"},
		{"10.0.0.4-fd00::1", "one address family"},
		{"fe80::1%eth0", "zone"},
		{"::ffff:10.0.0.1", "write 10.0.0.1"},
		{"::ffff:10.0.0.0/120", "IPv4"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			r, err := Parse(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.says) || r.IsValid() {
				t.Errorf("got %v, %v; want an error with %q", r, err, tt.says)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	in := []Range{parse(t, "fd00::2"), parse(t, "10.0.0.9"), parse(t, "10.0.0.4-10.0.0.7"), {}, parse(t, "10.0.0.5"),
		parse(t, "10.0.0.8"), parse(t, "255.255.255.255"), parse(t, "::"), parse(t, "10.0.0.11")}
	var got []string
	for _, r := range Merge(in) {
		got = append(got, r.String())
	}
	want := []string{"10.0.0.4-10.0.0.9", "10.0.0.11", "255.255.255.255", "::", "fd00::2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func parse(t *testing.T, s string) Range {
	t.Helper()
	r, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// span draws ranges from 256 addresses at either end of either family, so that they often touch and reach the ends.
func span() *rapid.Generator[Range] {
	return rapid.Custom(func(t *rapid.T) Range {
		base := rapid.SampledFrom([]string{"10.1.2.0/24", "0.0.0.0/24", "255.255.255.0/24", "::/120",
			"fd00::ffff:ffff:ffff:ff00/120", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120"}).Draw(t, "base")
		first := toNumber(FromPrefix(netip.MustParsePrefix(base)).First)
		a := rapid.IntRange(0, 255).Draw(t, "a")
		b := rapid.IntRange(a, 255).Draw(t, "b")
		is4 := !strings.Contains(base, ":")
		return Range{toAddr(first.plus(uint64(a)), is4), toAddr(first.plus(uint64(b)), is4)}
	})
}

// all lists the addresses of small ranges: the model that the algebra is held against.
func all(ranges ...Range) map[netip.Addr]bool {
	set := map[netip.Addr]bool{}
	for _, r := range ranges {
		for a := r.First; a.IsValid(); a = a.Next() {
			set[a] = true
			if a == r.Last {
				break
			}
		}
	}
	return set
}

func TestAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := span().Draw(t, "a"), span().Draw(t, "b")
		n := rapid.Int64Range(-1, 300).Draw(t, "n")
		inA, inB := all(a), all(b)

		if got := a.Size(); got != int64(len(inA)) {
			t.Errorf("%s has size %d, want %d", a, got, len(inA))
		}
		again, err := Parse(a.String())
		if err != nil || again != a {
			t.Errorf("%s read again is %s (%v)", a, again, err)
		}
		if again, err = Parse(a.Span()); err != nil || again != a || strings.Contains(a.Span(), "/") {
			t.Errorf("%s read again is %s (%v)", a.Span(), again, err)
		}
		shared, ok := a.Intersect(b)
		before, after := a.Subtract(b)
		rest := all(before, after)
		common := map[netip.Addr]bool{}
		for addr := range inA {
			if !a.Contains(addr) || b.Contains(addr) != inB[addr] {
				t.Errorf("Contains of %s is wrong for %s or %s", addr, a, b)
			}
			if inB[addr] {
				common[addr] = true
			}
			if rest[addr] == inB[addr] {
				t.Errorf("%s without %s: wrong about %s", a, b, addr)
			}
		}
		if len(rest)+len(common) != len(inA) {
			t.Errorf("%s without %s has %d addresses", a, b, len(rest))
		}
		if ok != (len(common) > 0) || a.Overlaps(b) != ok || b.Overlaps(a) != ok || !cmp.Equal(all(shared), common, cmpopts.EquateEmpty()) {
			t.Errorf("%s and %s share %s (%v)", a, b, shared, ok)
		}
		if a.Covers(b) != (len(common) == len(inB)) {
			t.Errorf("%s covers %s: %v", a, b, a.Covers(b))
		}
		head := a.FirstN(n)
		if want := max(0, min(n, a.Size())); head.Size() != want || want > 0 && (head.First != a.First || !a.Covers(head)) {
			t.Errorf("first %d of %s: %s", n, a, head)
		}
	})
}

func TestPrefixes(t *testing.T) {
	for in, want := range map[string][]string{
		"10.0.0.4":                        {"10.0.0.4/32"},
		"10.0.0.16/28":                    {"10.0.0.16/28"},
		"10.0.0.3-10.0.0.9":               {"10.0.0.3/32", "10.0.0.4/30", "10.0.0.8/31"},
		"0.0.0.0-255.255.255.255":         {"0.0.0.0/0"},
		"255.255.255.254-255.255.255.255": {"255.255.255.254/31"},
		"fd00::1-fd00::4":                 {"fd00::1/128", "fd00::2/127", "fd00::4/128"},
		"fd00:0:0:0:c57d::/80":            {"fd00::c57d:0:0:0/80"},
	} {
		r, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range r.Prefixes() {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
	if got := (Range{}).Prefixes(); got != nil {
		t.Errorf("of no range: %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := span().Draw(t, "r")
		var parts []Range
		for _, p := range r.Prefixes() {
			if p.Masked() != p {
				t.Fatalf("%s is no prefix", p)
			}
			parts = append(parts, FromPrefix(p))
		}
		if r.IsValid() && (Size(parts) != r.Size() || len(Merge(parts)) != 1 || parts[0].First != r.First) {
			t.Fatalf("%v make up %v", parts, r)
		}
	})
}

func TestFirstNOfLarge(t *testing.T) {
	for _, s := range []string{"::/0", "ffff:ffff:ffff:ffff::/64", "0.0.0.0/0"} {
		r := parse(t, s)
		if got := r.FirstN(1 << 62); r.Size() < MaxSize && got != r {
			t.Errorf("all of %s: got %s", s, got)
		}
		if got := r.FirstN(16); got.Size() != 16 || got.First != r.First {
			t.Errorf("first 16 of %s: %s", s, got)
		}
	}
}

func TestListAlgebra(t *testing.T) {
	lists := rapid.SliceOfN(span(), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		a, b := lists.Draw(t, "a"), lists.Draw(t, "b")
		merged := Merge(slices.Clone(a))
		if !cmp.Equal(all(merged...), all(a...)) {
			t.Errorf("merged %v to %v", a, merged)
		}
		for i := range merged[min(1, len(merged)):] {
			if touches(merged[i], merged[i+1]) || merged[i].Compare(merged[i+1]) >= 0 {
				t.Errorf("%v is not normal", merged)
			}
		}
		if Size(merged) != int64(len(all(a...))) {
			t.Errorf("%v has size %d", merged, Size(merged))
		}
		want := all(a...)
		for addr := range all(b...) {
			delete(want, addr)
		}
		rest := Subtract(a, b)
		if !cmp.Equal(all(rest...), want) {
			t.Errorf("%v without %v is %v", a, b, rest)
		}
		for addr := range all(b...) {
			if Contains(rest, addr) || !Contains(b, addr) {
				t.Errorf("%v without %v still has %s", a, b, addr)
			}
		}
	})
}

func TestNoAllocations(t *testing.T) {
	a, b := parse(t, "fd00::/80"), parse(t, "fd00::5-fd00::9")
	addr := netip.MustParseAddr("fd00::7")
	var sink bool
	n := testing.AllocsPerRun(100, func() {
		before, after := a.Subtract(b)
		_, ok := a.Intersect(b)
		_, isPrefix := a.Prefix()
		sink = ok && isPrefix && a.Contains(addr) && before.Size() < after.Size() && a.FirstN(16).IsValid()
	})
	if n != 0 || !sink {
		t.Errorf("%v allocations, result %v", n, sink)
	}
}

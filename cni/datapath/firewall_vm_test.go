// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package datapath

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// TestRules writes the node's rules, and the same by a library that others use, which also reads back what the kernel has of both.
func TestRules(t *testing.T) {
	both := nodeAddresses{ipv4: netip.MustParseAddr("10.0.0.10"), ipv6: netip.MustParseAddr("fd00::10")}
	for name, f := range map[string]firewall{
		"both families":       {ends: both, forward: prefixes("10.96.0.0/12", "169.254.20.10/32", "0.0.0.0/0", "fd00:0:0:1::/108", "fd00::7/128")},
		"IPv4":                {ends: nodeAddresses{ipv4: both.ipv4}, forward: prefixes("10.96.0.0/12")},
		"IPv6 and no service": {ends: nodeAddresses{ipv6: both.ipv6}},
	} {
		t.Run(name, func(t *testing.T) {
			want := inside(t, func() error { return byLibrary(f) })
			got := inside(t, func() error { return applyFirewall(f) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if len(got.Rules["forward"]) != len(f.forward)+2 {
				t.Errorf("%d rules for what is forwarded, want %d", len(got.Rules["forward"]), len(f.forward)+2)
			}
		})
	}
}

// TestChangedRules has rules replaced by others, and by the same.
func TestChangedRules(t *testing.T) {
	first := firewall{ends: nodeAddresses{ipv4: netip.MustParseAddr("10.0.0.10")}, forward: prefixes("10.96.0.0/12")}
	second := firewall{ends: first.ends, forward: prefixes("10.97.0.0/16", "10.98.0.0/16")}
	want := inside(t, func() error { return applyFirewall(second) })
	got := inside(t, func() error {
		for _, f := range []firewall{first, first, second, first, second} {
			if err := applyFirewall(f); err != nil {
				return err
			}
		}
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules after several changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ruleset{}, inside(t, func() error {
		if err := applyFirewall(first); err != nil {
			return err
		}
		if err := removeFirewall(); err != nil {
			return err
		}
		return removeFirewall() // there is nothing any more
	})); diff != "" {
		t.Errorf("rules after their removal (-want +got):\n%s", diff)
	}
}

// TestRefusedRules has a transaction fail at a part of it, of which the kernel says nothing otherwise.
func TestRefusedRules(t *testing.T) {
	unchanged := inside(t, func() error {
		s, err := openSocketOf(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer s.close()
		err = s.transact(newTable(), deleteChain("nowhere"), newChain(chain{name: "never"}))
		if want := "remove chain nowhere of nftables table underlay: no such file or directory"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		return nil
	})
	if diff := cmp.Diff(ruleset{}, unchanged); diff != "" {
		t.Errorf("rules after a refusal (-want +got):\n%s", diff)
	}
}

// ruleset is what a namespace has of tables in the family inet.
type ruleset struct {
	Chains   []nftables.Chain
	Rules    map[string][][]expr.Any // by chain
	Counters []string
}

// inside calls fn in a network namespace of its own, and returns what it leaves there.
func inside(t *testing.T, fn func() error) (r ruleset) {
	t.Helper()
	err := elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		if err := fn(); err != nil {
			return err
		}
		c, err := nftables.New()
		if err != nil {
			return err
		}
		chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
		if err != nil {
			return err
		}
		for _, chain := range chains {
			rules, err := c.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			for _, rule := range rules {
				if r.Rules == nil {
					r.Rules = map[string][][]expr.Any{}
				}
				r.Rules[chain.Name] = append(r.Rules[chain.Name], rule.Exprs)
			}
			chain.Table = nil
			r.Chains = append(r.Chains, *chain)
		}
		slices.SortFunc(r.Chains, func(a, b nftables.Chain) int { return strings.Compare(a.Name, b.Name) })
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
		if err != nil {
			return err
		}
		for _, table := range tables {
			objects, err := c.GetNamedObjects(table)
			if err != nil {
				return err
			}
			for _, o := range objects {
				if named, ok := o.(*nftables.NamedObj); ok {
					r.Counters = append(r.Counters, named.Name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(r.Counters)
	return r
}

// byLibrary writes the rules in an empty namespace.
func byLibrary(f firewall) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})
	for _, name := range []string{CounterForged, CounterRefused} {
		c.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	in := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) func(...[]expr.Any) {
		base := c.AddChain(&nftables.Chain{Name: name, Table: table, Type: kind, Hooknum: hook, Priority: &priority})
		return func(parts ...[]expr.Any) {
			from := []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, &expr.Cmp{Register: 1, Data: []byte("ulay")}}
			c.AddRule(&nftables.Rule{Table: table, Chain: base, Exprs: slices.Concat(append([][]expr.Any{from}, parts...)...)})
		}
	}
	verdict := func(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }
	count := func(name string) []expr.Any {
		return []expr.Any{&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: name}}
	}
	number := func(a netip.Addr) byte {
		if a.Is6() {
			return unix.NFPROTO_IPV6
		}
		return unix.NFPROTO_IPV4
	}
	protocol := func(a netip.Addr) []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Register: 1, Data: []byte{number(a)}}}
	}
	zero := make([]byte, 4)
	changed := []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(1 << 5), Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: zero},
	}

	source := in("source", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	source([]expr.Any{&expr.Fib{Register: 1, FlagSADDR: true, FlagIIF: true, ResultOIF: true}, &expr.Cmp{Register: 1, Data: zero}}, count(CounterForged), verdict(expr.VerdictDrop))

	forward := in("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	forward(changed, verdict(expr.VerdictAccept))
	for _, p := range f.forward {
		offset, length := uint32(16), uint32(4)
		if p.Addr().Is6() {
			offset, length = 24, 16
		}
		bits := make([]byte, length)
		for i := range p.Bits() {
			bits[i/8] |= 0x80 >> (i % 8)
		}
		forward(protocol(p.Addr()), []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: bits, Xor: make([]byte, length)},
			&expr.Cmp{Register: 1, Data: p.Addr().AsSlice()},
		}, verdict(expr.VerdictAccept))
	}
	forward(count(CounterRefused), verdict(expr.VerdictDrop))

	translate := in("translate", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource-10)
	for _, a := range []netip.Addr{f.ends.ipv4, f.ends.ipv6} {
		if a.IsValid() {
			translate(changed, protocol(a), []expr.Any{
				&expr.Immediate{Register: 1, Data: a.AsSlice()},
				&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(number(a)), RegAddrMin: 1},
			})
		}
	}
	c.AddChain(&nftables.Chain{Name: f.fingerprint(), Table: table})
	return c.Flush()
}

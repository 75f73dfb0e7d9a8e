// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tableName of our table, in the family inet (Linux 5.2; rules by input interface behind routing need 5.7).
const tableName = "underlay"

// The table's counters.
const (
	// CounterForged counts what came up a host leg without being from that pod's address.
	CounterForged = "forged-source"
	// CounterRefused counts what came up a host leg and is neither translated nor bound for where it may be forwarded.
	CounterRefused = "not-forwarded"
)

// statePrefix starts the name of a chain that is never used: the rest of its name is the fingerprint of the rules, so that one question tells whether
// they are current.
const statePrefix = "state-"

// firewall is the node's rules for all host legs. They hold nothing of single pods: which source is right for a link follows from the routes.
type firewall struct {
	ends nodeAddresses
	// forward lists where pods may go untranslated: service addresses that nobody translates are refused elsewhere, or lead nowhere.
	forward []netip.Prefix
}

// fingerprint of the rules; raise the version with each change of them.
func (f firewall) fingerprint() string {
	const version = "1"
	var b strings.Builder
	b.WriteString(version + " " + f.ends.ipv4.String() + " " + f.ends.ipv6.String() + "\n")
	sorted := slices.Clone(f.forward)
	slices.SortFunc(sorted, netip.Prefix.Compare)
	for _, p := range slices.Compact(sorted) {
		b.WriteString(p.String() + "\n")
	}
	sum := sha256.Sum256([]byte(b.String()))
	return statePrefix + hex.EncodeToString(sum[:8])
}

// applyFirewall makes the rules what they should be: normally they are, which takes one question. Counters keep counting.
func applyFirewall(f firewall) error {
	if f.isCurrent() {
		return nil
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	// Two ADDs may do this at the same time: the loser's list of chains is old, and its transaction fails as a whole.
	const tries = 5
	for range tries {
		if err = f.replace(c); err == nil {
			return nil
		}
		if f.isCurrent() {
			return nil
		}
	}
	return fmt.Errorf("write the nftables table %s: %w", tableName, err)
}

// isCurrent asks for the chain with the fingerprint, by a message of its own: each ADD does, and the library takes longer to begin than the kernel to
// answer. Any error counts as its absence: what is wrong shows when the rules are written.
func (f firewall) isCurrent() bool {
	s, err := openSocketOf(unix.NETLINK_NETFILTER)
	if err != nil {
		return false
	}
	defer s.close()
	m := newMessage(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETCHAIN, 0, func() string { return "read the node's rules" }, unix.ENOENT)
	m.AddRawData([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0})
	m.AddRawData(nl.NewRtAttr(unix.NFTA_CHAIN_TABLE, nl.ZeroTerminated(tableName)).Serialize())
	m.AddRawData(nl.NewRtAttr(unix.NFTA_CHAIN_NAME, nl.ZeroTerminated(f.fingerprint())).Serialize())
	answers, err := s.ask(m)
	return err == nil && answers[0] != nil
}

// replace writes all rules in one transaction.
func (f firewall) replace(c *nftables.Conn) error {
	old, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})
	for _, chain := range old {
		if chain.Table.Name == tableName && strings.HasPrefix(chain.Name, statePrefix) {
			c.DelChain(chain)
		}
	}
	for _, name := range []string{CounterForged, CounterRefused} {
		c.AddObj(&nftables.NamedObj{Table: table, Name: name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	}
	f.addSource(c, table)
	f.addForward(c, table)
	f.addTranslation(c, table)
	c.AddChain(&nftables.Chain{Name: f.fingerprint(), Table: table})
	return c.Flush()
}

// chain empties or makes a base chain, and returns a function that adds rules to it, all for what came up a host leg.
func chain(c *nftables.Conn, table *nftables.Table, name string, kind nftables.ChainType, hook *nftables.ChainHook, priority nftables.ChainPriority) func(exprs ...[]expr.Any) {
	base := c.AddChain(&nftables.Chain{Name: name, Table: table, Type: kind, Hooknum: hook, Priority: new(priority)})
	c.FlushChain(base)
	return func(exprs ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: table, Chain: base, Exprs: slices.Concat(append([][]expr.Any{fromHostLeg()}, exprs...)...)})
	}
}

// addSource drops what is not from that pod's address: the way back to the source must be the link that it came by. Before connection tracking, so that
// forged packets leave no trace there.
func (f firewall) addSource(c *nftables.Conn, table *nftables.Table) {
	rule := chain(c, table, "source", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	rule([]expr.Any{
		&expr.Fib{Register: 1, FlagSADDR: true, FlagIIF: true, ResultOIF: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
	}, counted(CounterForged), verdict(expr.VerdictDrop))
}

// addForward drops what nobody translated, unless it may go on.
func (f firewall) addForward(c *nftables.Conn, table *nftables.Table) {
	rule := chain(c, table, "forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	rule(translated(), verdict(expr.VerdictAccept))
	for _, p := range f.forward {
		rule(towards(p), verdict(expr.VerdictAccept))
	}
	rule(counted(CounterRefused), verdict(expr.VerdictDrop))
}

// addTranslation gives the node's address to what was translated, or the answers would come back by the cloud and miss connection tracking.
func (f firewall) addTranslation(c *nftables.Conn, table *nftables.Table) {
	// Before kube-proxy's own rules, which would masquerade: towards a local pod that takes some address of lo, and fails.
	rule := chain(c, table, "translate", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource-10)
	for _, a := range []netip.Addr{f.ends.ipv4, f.ends.ipv6} {
		if !a.IsValid() {
			continue
		}
		rule(translated(), family(a), []expr.Any{
			&expr.Immediate{Register: 1, Data: a.AsSlice()},
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(familyOf(a)), RegAddrMin: 1},
		})
	}
}

func fromHostLeg() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte(LinkPrefix)}, // without a zero byte: the start of the name
	}
}

// translated matches packets of connections whose destination was changed.
func translated() []expr.Any {
	const destinationChanged = 1 << 5 // IPS_DST_NAT
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(destinationChanged), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func family(a netip.Addr) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(familyOf(a))}}, // NFPROTO_* are AF_*
	}
}

// towards matches packets by their destination.
func towards(p netip.Prefix) []expr.Any {
	offset, length := uint32(16), uint32(4) // in IPv4's header
	if p.Addr().Is6() {
		offset, length = 24, 16
	}
	mask := make([]byte, length)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append(family(p.Addr()),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()},
	)
}

func counted(name string) []expr.Any {
	return []expr.Any{&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: name}}
}

func verdict(kind expr.VerdictKind) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind}}
}

// DroppedPackets are the counters of the calling thread's network namespace, by name; empty where no pod has a host leg yet.
func DroppedPackets() (map[string]uint64, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	objects, err := c.GetNamedObjects(&nftables.Table{Name: tableName, Family: nftables.TableFamilyINet})
	if errors.Is(err, unix.ENOENT) { // no table
		return map[string]uint64{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the counters of nftables table %s: %w", tableName, err)
	}
	packets := map[string]uint64{}
	for _, o := range objects {
		named, ok := o.(*nftables.NamedObj)
		if !ok {
			continue
		}
		if counter, ok := named.Obj.(*expr.Counter); ok {
			packets[named.Name] = counter.Packets
		}
	}
	return packets, nil
}

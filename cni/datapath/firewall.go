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
	s, err := openSocketOf(unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer s.close()
	if f.isCurrent(s) {
		return nil
	}
	// Two ADDs may do this at the same time: the loser's list of chains is old, and its transaction fails as a whole.
	const tries = 5
	for range tries {
		if err = f.replace(s); err == nil {
			return nil
		}
		if f.isCurrent(s) {
			return nil
		}
	}
	return fmt.Errorf("write the nftables table %s: %w", tableName, err)
}

// isCurrent asks for the chain with the fingerprint. Any error counts as its absence: what is wrong shows when the rules are written.
func (f firewall) isCurrent(s *socket) bool {
	answers, err := s.ask(getChain(f.fingerprint()))
	return err == nil && answers[0] != nil
}

// replace writes all rules in one transaction.
func (f firewall) replace(s *socket) error {
	old, err := s.dump(listChains())
	if err != nil {
		return err
	}
	messages := []*message{newTable()}
	for _, data := range old {
		name, err := parseChain(data)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, statePrefix) {
			messages = append(messages, deleteChain(name))
		}
	}
	for _, name := range []string{CounterForged, CounterRefused} {
		messages = append(messages, newCounter(name))
	}
	for _, c := range []chain{f.source(), f.forwarding(), f.translation()} {
		messages = append(messages, newChain(c), flushChain(c.name))
		for _, r := range c.rules {
			messages = append(messages, newFirewallRule(c.name, r))
		}
	}
	return s.transact(append(messages, newChain(chain{name: f.fingerprint()}))...)
}

// chain of rules, each of which is for what came up a host leg. Without a kind it is one that nothing gets into.
type chain struct {
	name, kind string
	hook       uint32
	priority   int32
	rules      [][]expression
}

// add adds a rule of several matches and what is done then.
func (c *chain) add(parts ...[]expression) {
	c.rules = append(c.rules, slices.Concat(append([][]expression{fromHostLeg()}, parts...)...))
}

// source drops what is not from that pod's address: the way back to the source must be the link that it came by. Before connection tracking, so that
// forged packets leave no trace there.
func (f firewall) source() chain {
	c := chain{name: "source", kind: kindFilterChain, hook: unix.NF_INET_PRE_ROUTING, priority: -300} // NF_IP_PRI_RAW
	c.add([]expression{routeToSource(), compareWith(unix.NFT_CMP_EQ, make([]byte, 4))}, counted(CounterForged), verdict(verdictDrop))
	return c
}

// forwarding drops what nobody translated, unless it may go on.
func (f firewall) forwarding() chain {
	c := chain{name: "forward", kind: kindFilterChain, hook: unix.NF_INET_FORWARD}
	c.add(translated(), verdict(verdictAccept))
	for _, p := range f.forward {
		c.add(towards(p), verdict(verdictAccept))
	}
	c.add(counted(CounterRefused), verdict(verdictDrop))
	return c
}

// translation gives the node's address to what was translated, or the answers would come back by the cloud and miss connection tracking.
func (f firewall) translation() chain {
	// Ten before NF_IP_PRI_NAT_SRC, where kube-proxy's own rules are, which would masquerade: towards a local pod that takes some address of lo, and fails.
	c := chain{name: "translate", kind: kindTranslationChain, hook: unix.NF_INET_POST_ROUTING, priority: 100 - 10}
	for _, a := range []netip.Addr{f.ends.ipv4, f.ends.ipv6} {
		if a.IsValid() {
			c.add(translated(), family(a), []expression{load(a.AsSlice()), translateSource(familyOf(a))})
		}
	}
	return c
}

func fromHostLeg() []expression {
	return []expression{loadMeta(unix.NFT_META_IIFNAME), compareWith(unix.NFT_CMP_EQ, []byte(LinkPrefix))} // without a zero byte: the start of the name
}

// translated matches packets of connections whose destination was changed.
func translated() []expression {
	const destinationChanged = 1 << 5 // IPS_DST_NAT
	return []expression{loadConnection(unix.NFT_CT_STATUS), mask(native32(destinationChanged)), compareWith(unix.NFT_CMP_NEQ, make([]byte, 4))}
}

func family(a netip.Addr) []expression {
	return []expression{loadMeta(unix.NFT_META_NFPROTO), compareWith(unix.NFT_CMP_EQ, []byte{byte(familyOf(a))})} // NFPROTO_* are AF_*
}

// towards matches packets by their destination.
func towards(p netip.Prefix) []expression {
	offset, length := uint32(16), uint32(4) // in IPv4's header
	if p.Addr().Is6() {
		offset, length = 24, 16
	}
	bits := make([]byte, length)
	for i := range p.Bits() {
		bits[i/8] |= 0x80 >> (i % 8)
	}
	return append(family(p.Addr()), loadHeader(offset, length), mask(bits), compareWith(unix.NFT_CMP_EQ, p.Masked().Addr().AsSlice()))
}

// removeFirewall removes the rules. Kernels without nftables have none.
func removeFirewall() error {
	s, err := openSocketOf(unix.NETLINK_NETFILTER)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.close()
	err = s.transact(deleteTable())
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// DroppedPackets are the counters of the calling thread's network namespace, by name; empty where no pod has a host leg yet.
func DroppedPackets() (map[string]uint64, error) {
	s, err := openSocketOf(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	defer s.close()
	list, err := s.dump(listCounters())
	if err != nil {
		return nil, err
	}
	packets := map[string]uint64{}
	for _, data := range list {
		name, count, err := parseCounter(data)
		if err != nil {
			return nil, err
		}
		packets[name] = count
	}
	return packets, nil
}

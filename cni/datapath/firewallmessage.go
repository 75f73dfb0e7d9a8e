// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Messages to nftables, for a table of the family inet. Numbers in them are big-endian. They are few enough to do without a library, which prepares itself
// at each start of a process, and makes the program a tenth larger (docs/benchmarks.md).

// Kinds of base chains.
const (
	kindFilterChain      = "filter"
	kindTranslationChain = "nat"
)

// Verdicts: NF_DROP and NF_ACCEPT.
const (
	verdictDrop   = 0
	verdictAccept = 1
)

func firewallMessage(kind, flags int, what func() string, fine ...unix.Errno) *message {
	m := newMessage(unix.NFNL_SUBSYS_NFTABLES<<8|kind, flags, what, fine...)
	m.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET, Version: unix.NFNETLINK_V0})
	return m
}

// mark begins or ends a transaction.
func mark(kind int) *message {
	m := newMessage(kind, 0, func() string { return "change nftables" })
	m.module, m.silent = "nf_tables", true
	m.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: unix.NFNETLINK_V0, ResId: nl.Swap16(unix.NFNL_SUBSYS_NFTABLES)})
	return m
}

func (m *message) text(attribute int, value string) {
	m.AddData(nl.NewRtAttr(attribute, nl.ZeroTerminated(value)))
}

func newTable() *message {
	m := firewallMessage(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, func() string { return "add nftables table " + tableName })
	m.text(unix.NFTA_TABLE_NAME, tableName)
	m.AddData(number32(unix.NFTA_TABLE_FLAGS, 0))
	return m
}

func deleteTable() *message {
	m := firewallMessage(unix.NFT_MSG_DELTABLE, 0, func() string { return "remove nftables table " + tableName }, unix.ENOENT)
	m.text(unix.NFTA_TABLE_NAME, tableName)
	return m
}

func chainMessage(kind, flags int, verb, name string, fine ...unix.Errno) *message {
	m := firewallMessage(kind, flags, func() string { return fmt.Sprintf("%s chain %s of nftables table %s", verb, name, tableName) }, fine...)
	m.text(unix.NFTA_CHAIN_TABLE, tableName)
	m.text(unix.NFTA_CHAIN_NAME, name)
	return m
}

func getChain(name string) *message {
	return chainMessage(unix.NFT_MSG_GETCHAIN, 0, "read", name, unix.ENOENT)
}

func deleteChain(name string) *message {
	return chainMessage(unix.NFT_MSG_DELCHAIN, 0, "remove", name)
}

// newChain makes a chain without its rules, or finds it.
func newChain(c chain) *message {
	m := chainMessage(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, "add", c.name)
	if c.kind != "" {
		m.AddData(nested(unix.NFTA_CHAIN_HOOK, number32(unix.NFTA_HOOK_HOOKNUM, c.hook), number32(unix.NFTA_HOOK_PRIORITY, uint32(c.priority))))
		m.text(unix.NFTA_CHAIN_TYPE, c.kind)
	}
	return m
}

func listChains() *message {
	return firewallMessage(unix.NFT_MSG_GETCHAIN, 0, func() string { return "list chains of nftables" })
}

// parseChain returns the name of a chain of our table; "" for another's.
func parseChain(data []byte) (string, error) {
	attributes, err := firewallAttributes(data)
	if err != nil || untilZero(attributes[unix.NFTA_CHAIN_TABLE].Value) != tableName {
		return "", err
	}
	return untilZero(attributes[unix.NFTA_CHAIN_NAME].Value), nil
}

// flushChain removes a chain's rules.
func flushChain(name string) *message {
	m := firewallMessage(unix.NFT_MSG_DELRULE, 0, func() string { return fmt.Sprintf("empty chain %s of nftables table %s", name, tableName) })
	m.text(unix.NFTA_RULE_TABLE, tableName)
	m.text(unix.NFTA_RULE_CHAIN, name)
	return m
}

// newFirewallRule adds a rule at the chain's end.
func newFirewallRule(chain string, expressions []expression) *message {
	m := firewallMessage(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, func() string { return fmt.Sprintf("add a rule to chain %s of nftables table %s", chain, tableName) })
	m.text(unix.NFTA_RULE_TABLE, tableName)
	m.text(unix.NFTA_RULE_CHAIN, chain)
	m.AddData(nested(unix.NFTA_RULE_EXPRESSIONS, expressions...))
	return m
}

func newCounter(name string) *message {
	m := firewallMessage(unix.NFT_MSG_NEWOBJ, unix.NLM_F_CREATE, func() string { return fmt.Sprintf("add counter %s to nftables table %s", name, tableName) })
	m.text(unix.NFTA_OBJ_TABLE, tableName)
	m.text(unix.NFTA_OBJ_NAME, name)
	m.AddData(number32(unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER))
	m.AddData(nested(unix.NFTA_OBJ_DATA, nl.NewRtAttr(unix.NFTA_COUNTER_BYTES, nl.BEUint64Attr(0)), nl.NewRtAttr(unix.NFTA_COUNTER_PACKETS, nl.BEUint64Attr(0))))
	return m
}

func listCounters() *message {
	m := firewallMessage(unix.NFT_MSG_GETOBJ, 0, func() string { return "read the counters of nftables table " + tableName }, unix.ENOENT)
	m.text(unix.NFTA_OBJ_TABLE, tableName)
	m.AddData(number32(unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER))
	return m
}

// parseCounter returns a counter's name, and how many packets it has counted.
func parseCounter(data []byte) (name string, packets uint64, err error) {
	attributes, err := firewallAttributes(data)
	if err != nil {
		return "", 0, err
	}
	values, err := nl.ParseRouteAttrAsMap(attributes[unix.NFTA_OBJ_DATA].Value)
	if err != nil {
		return "", 0, fmt.Errorf("read nftables: %w", err)
	}
	count := values[unix.NFTA_COUNTER_PACKETS].Value
	if len(count) != 8 {
		return "", 0, fmt.Errorf("read nftables: a counter has %d bytes", len(count))
	}
	return untilZero(attributes[unix.NFTA_OBJ_NAME].Value), binary.BigEndian.Uint64(count), nil
}

// firewallAttributes of an answer, behind its header.
func firewallAttributes(data []byte) (map[uint16]syscall.NetlinkRouteAttr, error) {
	const header = 4 // struct nfgenmsg
	if len(data) < header {
		return nil, fmt.Errorf("read nftables: %d bytes are too few", len(data))
	}
	attributes, err := nl.ParseRouteAttrAsMap(data[header:])
	if err != nil {
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	return attributes, nil
}

// expression is a step of a rule. All that is compared, masked or translated is in the register 1.
type expression = *nl.RtAttr

func step(name string, attributes ...*nl.RtAttr) expression {
	return nested(unix.NFTA_LIST_ELEM, nl.NewRtAttr(unix.NFTA_EXPR_NAME, nl.ZeroTerminated(name)), nested(unix.NFTA_EXPR_DATA, attributes...))
}

func nested(attribute int, children ...*nl.RtAttr) *nl.RtAttr {
	a := nl.NewRtAttr(unix.NLA_F_NESTED|attribute, nil)
	for _, c := range children {
		a.AddChild(c)
	}
	return a
}

func number32(attribute int, value uint32) *nl.RtAttr {
	return nl.NewRtAttr(attribute, nl.BEUint32Attr(value))
}

func value(attribute int, data []byte) *nl.RtAttr {
	return nested(attribute, nl.NewRtAttr(unix.NFTA_DATA_VALUE, data))
}

func loadMeta(key uint32) expression {
	return step("meta", number32(unix.NFTA_META_KEY, key), number32(unix.NFTA_META_DREG, unix.NFT_REG_1))
}

func loadConnection(key uint32) expression {
	return step("ct", number32(unix.NFTA_CT_KEY, key), number32(unix.NFTA_CT_DREG, unix.NFT_REG_1))
}

// loadHeader takes bytes of the packet's IP header.
func loadHeader(offset, length uint32) expression {
	return step("payload", number32(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), number32(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER),
		number32(unix.NFTA_PAYLOAD_OFFSET, offset), number32(unix.NFTA_PAYLOAD_LEN, length))
}

// routeToSource looks up the route to the packet's source by the link that it came by; the result is that link's index, or 0.
func routeToSource() expression {
	return step("fib", number32(unix.NFTA_FIB_DREG, unix.NFT_REG_1), number32(unix.NFTA_FIB_RESULT, unix.NFT_FIB_RESULT_OIF),
		number32(unix.NFTA_FIB_FLAGS, unix.NFTA_FIB_F_SADDR|unix.NFTA_FIB_F_IIF))
}

func load(data []byte) expression {
	return step("immediate", number32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_1), value(unix.NFTA_IMMEDIATE_DATA, data))
}

func mask(bits []byte) expression {
	return step("bitwise", number32(unix.NFTA_BITWISE_SREG, unix.NFT_REG_1), number32(unix.NFTA_BITWISE_DREG, unix.NFT_REG_1), number32(unix.NFTA_BITWISE_LEN, uint32(len(bits))),
		value(unix.NFTA_BITWISE_MASK, bits), value(unix.NFTA_BITWISE_XOR, make([]byte, len(bits))))
}

func compareWith(operation uint32, data []byte) expression {
	return step("cmp", number32(unix.NFTA_CMP_SREG, unix.NFT_REG_1), number32(unix.NFTA_CMP_OP, operation), value(unix.NFTA_CMP_DATA, data))
}

func translateSource(family int) expression {
	return step("nat", number32(unix.NFTA_NAT_TYPE, unix.NFT_NAT_SNAT), number32(unix.NFTA_NAT_FAMILY, uint32(family)), number32(unix.NFTA_NAT_REG_ADDR_MIN, unix.NFT_REG_1))
}

func counted(name string) []expression {
	return []expression{step("objref", number32(unix.NFTA_OBJREF_IMM_TYPE, unix.NFT_OBJECT_COUNTER), nl.NewRtAttr(unix.NFTA_OBJREF_IMM_NAME, nl.ZeroTerminated(name)))}
}

func verdict(code uint32) []expression {
	return []expression{step("immediate", number32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT),
		nested(unix.NFTA_IMMEDIATE_DATA, nested(unix.NFTA_DATA_VERDICT, number32(unix.NFTA_VERDICT_CODE, code))))}
}

// native32 is a value as the processor has it.
func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// filter is the fabric's part of the router's nftables: a table at the bridges for frames from ENIs, and one at the router
// for packets that it forwards. Rules are the same for all ENIs; what is bound where is in sets.
type filter struct {
	namespace int // descriptor
	on        bool

	bridge, inet, nat *nftables.Table
	ingress, forward  *nftables.Chain

	// Sets of the bridge table. A port is the name of its link.
	stations  *nftables.Set         // port . MAC: what it may send from
	sources   family[*nftables.Set] // port . addresses: likewise
	receivers family[*nftables.Set] // MAC . addresses: what may be sent to it
	dropped   [2]*nftables.Set      // port . reason, with counters: of the bridge table, and of the inet table
	held      family[*nftables.Set] // of the inet table: bridge . addresses: what ENIs of the subnet hold
}

// family is one of something for each address family.
type family[T any] struct{ v4, v6 T }

func (f family[T]) of(address netip.Addr) T {
	if address.Is4() {
		return f.v4
	}
	return f.v6
}

func newFilter(namespace int) filter {
	f := filter{
		namespace: namespace,
		bridge:    &nftables.Table{Name: "vpc", Family: nftables.TableFamilyBridge},
		inet:      &nftables.Table{Name: "vpc", Family: nftables.TableFamilyINet},
		nat:       &nftables.Table{Name: "vpc", Family: nftables.TableFamilyIPv4},
	}
	accept := nftables.ChainPolicyAccept
	f.ingress = &nftables.Chain{
		Name: "from-enis", Table: f.bridge, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter, Policy: &accept,
	}
	f.forward = &nftables.Chain{
		Name: "forwarded", Table: f.inet, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &accept,
	}

	f.stations = &nftables.Set{
		Table: f.bridge, Name: "stations", Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherAddr),
	}
	f.sources = ranges(f.bridge, "sources", nftables.TypeIFName)
	f.receivers = ranges(f.bridge, "receivers", nftables.TypeEtherAddr)
	f.held = ranges(f.inet, "held", nftables.TypeIFName)
	f.dropped = [2]*nftables.Set{counters(f.bridge), counters(f.inet)}
	return f
}

// ranges returns sets of something together with ranges of addresses.
func ranges(table *nftables.Table, name string, first nftables.SetDatatype) family[*nftables.Set] {
	set := func(suffix string, address nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{
			Table: table, Name: name + suffix, Concatenation: true, Interval: true,
			KeyType: nftables.MustConcatSetType(first, address),
		}
	}
	return family[*nftables.Set]{set("4", nftables.TypeIPAddr), set("6", nftables.TypeIP6Addr)}
}

// counters returns a set that rules fill with whom they dropped for which reason, and how often.
func counters(table *nftables.Table) *nftables.Set {
	return &nftables.Set{
		Table: table, Name: "dropped", Concatenation: true, Dynamic: true, Counter: true, Size: 65535,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeMark),
	}
}

// install makes tables, sets and rules.
func (f *filter) install() error {
	return f.change("install", func(c *nftables.Conn) error {
		for _, table := range []*nftables.Table{f.bridge, f.inet, f.nat} {
			c.AddTable(table)
		}
		for _, set := range []*nftables.Set{
			f.stations, f.sources.v4, f.sources.v6, f.receivers.v4, f.receivers.v6, f.held.v4, f.held.v6, f.dropped[0], f.dropped[1],
		} {
			if err := c.AddSet(set, nil); err != nil {
				return fmt.Errorf("add set %s: %w", set.Name, err)
			}
		}
		c.AddChain(f.ingress)
		c.AddChain(f.forward)
		f.addRulesBy(c)
		// Not part of what SetFilter switches: without it nothing would come back.
		c.AddRule(&nftables.Rule{
			Table: f.nat,
			Chain: c.AddChain(&nftables.Chain{
				Name: "gateway", Table: f.nat, Type: nftables.ChainTypeNAT,
				Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
			}),
			Exprs: rule(is(outputLink(), []byte(outsideLink+"\x00")), expression(&expr.Masq{})),
		})
		f.on = true
		return nil
	})
}

func (f *filter) addRules() error {
	if f.on {
		return nil
	}
	f.on = true
	return f.change("switch on", func(c *nftables.Conn) error {
		f.addRulesBy(c)
		return nil
	})
}

func (f *filter) removeRules() error {
	f.on = false
	return f.change("switch off", func(c *nftables.Conn) error {
		c.FlushChain(f.ingress)
		c.FlushChain(f.forward)
		return nil
	})
}

func (f *filter) addRulesBy(c *nftables.Conn) {
	for _, exprs := range f.fromENIs() {
		c.AddRule(&nftables.Rule{Table: f.bridge, Chain: f.ingress, Exprs: exprs})
	}
	for _, exprs := range f.forwarded() {
		c.AddRule(&nftables.Rule{Table: f.inet, Chain: f.forward, Exprs: exprs})
	}
}

// addPort lets the port send from its MAC.
func (f *filter) addPort(p *port) error {
	return f.change("add port", func(c *nftables.Conn) error { return c.SetAddElements(f.stations, f.station(p)) })
}

func (f *filter) removePort(p *port) error {
	return f.change("remove port", func(c *nftables.Conn) error { return c.SetDeleteElements(f.stations, f.station(p)) })
}

func (f *filter) station(p *port) []nftables.SetElement {
	return []nftables.SetElement{{Key: slices.Concat(linkName(p.link), pad(p.MAC))}}
}

// bind makes the prefix the port's.
func (f *filter) bind(p *port, prefix netip.Prefix) error {
	return f.change("add addresses", func(c *nftables.Conn) error { return f.eachSet(p, prefix, c.SetAddElements) })
}

func (f *filter) unbind(p *port, prefix netip.Prefix) error {
	return f.change("remove addresses", func(c *nftables.Conn) error { return f.eachSet(p, prefix, c.SetDeleteElements) })
}

// eachSet calls do with each set that knows about bound addresses, and the prefix as its element.
func (f *filter) eachSet(p *port, prefix netip.Prefix, do func(*nftables.Set, []nftables.SetElement) error) error {
	address := prefix.Addr()
	for set, first := range map[*nftables.Set][]byte{
		f.sources.of(address):   linkName(p.link),
		f.receivers.of(address): pad(p.MAC),
		f.held.of(address):      linkName(p.subnet.bridge.Name),
	} {
		element := nftables.SetElement{
			Key:    slices.Concat(first, prefix.Masked().Addr().AsSlice()),
			KeyEnd: slices.Concat(first, last(prefix).AsSlice()),
		}
		if err := do(set, []nftables.SetElement{element}); err != nil {
			return fmt.Errorf("set %s: %w", set.Name, err)
		}
	}
	return nil
}

// change makes changes that take effect all at once or not at all.
func (f *filter) change(what string, add func(c *nftables.Conn) error) error {
	conn, err := nftables.New(nftables.WithNetNSFd(f.namespace))
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	if err := add(conn); err != nil {
		return fmt.Errorf("nftables: %s: %w", what, err)
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("nftables: %s: %w", what, err)
	}
	return nil
}

// last returns the last address of the prefix.
func last(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	address, _ := netip.AddrFromSlice(bytes) // has an address's length
	return address
}

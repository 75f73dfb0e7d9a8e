// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// model is the store as one would write it with no thought of files, processes and large ranges: a map that is searched from end to end.
type model struct {
	node *nodefile.File
	now  time.Duration
	// held addresses by owner, and the MAC of their interface.
	held map[string][]netip.Addr
	mac  map[string]string
	// released and quarantined addresses, with the time of their release, or their quarantine's end.
	released, quarantined map[netip.Addr]time.Duration
	// cursor of each pool.
	cursor map[string]netip.Addr
}

func newModel(node *nodefile.File) *model {
	return &model{
		node: node, now: time.Hour, held: map[string][]netip.Addr{}, mac: map[string]string{},
		released: map[netip.Addr]time.Duration{}, quarantined: map[netip.Addr]time.Duration{}, cursor: map[string]netip.Addr{},
	}
}

func (m *model) cooldown() time.Duration { return m.node.Networks[0].Cooldown() }

func (m *model) isHeld(a netip.Addr) bool {
	for _, list := range m.held {
		if slices.Contains(list, a) {
			return true
		}
	}
	return false
}

// mayBeHad says whether an address could be handed out, if it is open.
func (m *model) mayBeHad(a netip.Addr) bool {
	at, wasReleased := m.released[a]
	until, wasUsed := m.quarantined[a]
	return !m.isHeld(a) && !(wasReleased && m.now-at < m.cooldown()) && !(wasUsed && until > m.now)
}

// open lists a pool's open addresses one by one.
func (m *model) open(p *nodefile.Pool) []netip.Addr {
	var list []netip.Addr
	for _, r := range m.node.Open(p) {
		for a := r.First; a != r.Last.Next(); a = a.Next() {
			list = append(list, a)
		}
	}
	return list
}

// next is the address that the pool must hand out; false if it has none.
func (m *model) next(p *nodefile.Pool) (netip.Addr, bool) {
	open := m.open(p)
	for a, until := range m.quarantined {
		if until <= m.now && slices.Contains(open, a) {
			delete(m.quarantined, a)
			m.released[a] = max(0, until-m.cooldown())
		}
	}
	behind, _ := slices.BinarySearchFunc(open, m.cursor[p.Name], netip.Addr.Compare)
	if behind < len(open) && open[behind] == m.cursor[p.Name] {
		behind++
	}
	for i := range open {
		a := open[(behind+i)%len(open)]
		_, wasReleased := m.released[a]
		if !wasReleased && m.mayBeHad(a) {
			return a, true
		}
	}
	var best netip.Addr
	for _, a := range open {
		if at, ok := m.released[a]; ok && m.mayBeHad(a) && (!best.IsValid() || at < m.released[best]) {
			best = a
		}
	}
	return best, best.IsValid()
}

// room of an interface's pools.
func (m *model) room(pools []*nodefile.Pool) int {
	least := 1 << 30
	for _, p := range pools {
		room := 0
		for _, a := range m.open(p) {
			if !m.isHeld(a) {
				room++
			}
		}
		least = min(least, room)
	}
	return least
}

// interfaces in the order in which they are tried; first is tried before all.
func (m *model) interfaces(first string) [][]*nodefile.Pool {
	var list [][]*nodefile.Pool
	for _, c := range interfacesOf(m.node, "net") {
		if len(c.pools) == len(m.node.Families("net")) {
			list = append(list, c.pools)
		}
	}
	slices.SortStableFunc(list, func(x, y []*nodefile.Pool) int { return m.room(y) - m.room(x) })
	slices.SortStableFunc(list, func(x, y []*nodefile.Pool) int {
		return map[bool]int{true: 0, false: 1}[x[0].Interface.MAC == first] - map[bool]int{true: 0, false: 1}[y[0].Interface.MAC == first]
	})
	return list
}

// allocate is what Allocate must do; keep are addresses to take again from the interface with MAC first.
func (m *model) allocate(id string, keep []netip.Addr, first string) ([]netip.Addr, bool) {
	if list, ok := m.held[id]; ok {
		return list, true
	}
	for _, pools := range m.interfaces(first) {
		var list []netip.Addr
		cursors := maps.Clone(m.cursor)
		for _, p := range pools {
			i := slices.IndexFunc(keep, func(a netip.Addr) bool { return nodefile.FamilyOf(a) == p.Family && p.Interface.MAC == first })
			if i >= 0 {
				list = append(list, keep[i])
				continue
			}
			a, ok := m.next(p)
			if !ok {
				break
			}
			list = append(list, a)
			if _, wasReleased := m.released[a]; !wasReleased {
				cursors[p.Name] = a
			}
		}
		if len(list) == len(pools) {
			m.hold(id, pools[0].Interface.MAC, list)
			m.cursor = cursors
			return list, true
		}
	}
	return nil, false
}

func (m *model) hold(id, mac string, list []netip.Addr) {
	m.held[id], m.mac[id] = list, mac
	for _, a := range list {
		delete(m.released, a)
		delete(m.quarantined, a)
	}
}

func (m *model) release(id string) {
	for _, a := range m.held[id] {
		m.released[a] = m.now
	}
	delete(m.held, id)
}

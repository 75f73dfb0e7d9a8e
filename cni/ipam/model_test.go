// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
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

// worldOf makes a world that follows a model's clock.
func worldOf(t *testing.T, rt *rapid.T, m *model) *world {
	w := newWorld(t, m.node)
	w.reporter = rt
	w.options.Folder = must(os.MkdirTemp(t.TempDir(), ""))
	w.options.Now = func() time.Duration { return m.now }
	return w
}

func drawOwner(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}).Draw(rt, "owner")
}

// compare checks that the store's records are the model's, whatever else the invariants say.
func (m *model) compare(w *world, s *Store) {
	list, err := s.List()
	if err != nil {
		w.Fatal(err)
	}
	got, want := map[string]string{}, map[string]string{}
	for _, r := range list {
		got[r.ContainerID] = fmt.Sprint(r.Addresses())
	}
	for id, addresses := range m.held {
		want[id] = fmt.Sprint(addresses)
	}
	if !maps.Equal(got, want) {
		w.Fatalf("records\n%v\nwant\n%v", got, want)
	}
}

// With pools that stay as they are, the store does exactly what the model does: the same addresses in the same order, and the same refusals.
func TestStoreDoesWhatTheModelDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		node := rapid.SampledFrom([]*nodefile.File{
			oneNode(onePool(nodefile.IPv4, "10.0.1.8/31", "10.0.1.0-10.0.1.2", "10.0.0.0/31")),
			dual(), twoInterfaces(false), twoInterfaces(true), twoDual(),
		}).Draw(rt, "node")
		node.Networks[0].CooldownSeconds = rapid.SampledFrom([]int{0, 30}).Draw(rt, "cooldown")
		m := newModel(node)
		w := worldOf(t, rt, m)
		check := func(got Allocation, err error, want []netip.Addr, ok bool) {
			var exhausted *ExhaustedError
			switch {
			case err != nil && (ok || !errors.As(err, &exhausted)):
				rt.Fatalf("got %v, want %v", err, want)
			case err == nil && !ok:
				rt.Fatalf("got %s, want nothing", addresses(got))
			case err == nil && !slices.Equal(got.Record.Addresses(), want):
				rt.Fatalf("got %s, want %v", addresses(got), want)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				id := drawOwner(rt)
				w.store(func(s *Store) {
					got, err := s.Allocate(node, request(id))
					want, ok := m.allocate(id, nil, "")
					check(got, err, want, ok)
					m.compare(w, s)
				})
			},
			"del": func(rt *rapid.T) {
				id := drawOwner(rt)
				w.del(id)
				m.release(id)
			},
			"cancel": func(rt *rapid.T) {
				id := drawOwner(rt)
				w.store(func(s *Store) {
					if err := s.Cancel(owner(id)); err != nil {
						rt.Fatal(err)
					}
				})
				delete(m.held, id)
			},
			"replace": func(rt *rapid.T) {
				id := drawOwner(rt)
				list, ok := m.held[id]
				if !ok {
					return
				}
				used := rapid.SampledFrom(list).Draw(rt, "used")
				keep := slices.DeleteFunc(slices.Clone(list), func(a netip.Addr) bool { return a == used })
				m.quarantined[used] = m.now + quarantineTime
				delete(m.held, id)
				w.store(func(s *Store) {
					got, err := s.Replace(node, request(id), used)
					want, ok := m.allocate(id, keep, m.mac[id])
					check(got, err, want, ok)
					m.compare(w, s)
				})
			},
			"clock": func(rt *rapid.T) {
				m.now += time.Duration(rapid.SampledFrom([]int{0, 1, 29, 30, 31, 300}).Draw(rt, "seconds")) * time.Second
			},
		})
	})
}

// twoDual has two interfaces with both families.
func twoDual() *nodefile.File {
	node := twoInterfaces(true)
	six := onePool(nodefile.IPv6, "fd00::1-fd00::3")
	node.Pools = append(node.Pools, six)
	return node
}

// While pools are renamed, disabled, drained, moved, and the store itself is lost, nothing is handed out that must not be, and nothing is refused that
// could be had.
func TestChangingPools(t *testing.T) {
	universe := nodefile.Ranges{}
	for i := range 12 {
		universe = append(universe, iprange.Single(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})))
	}
	some := func(rt *rapid.T, what string) nodefile.Ranges {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(universe), 0, 4, rapid.ID).Draw(rt, what)
	}
	rapid.Check(t, func(rt *rapid.T) {
		node := twoInterfaces(false)
		m := newModel(node)
		w := worldOf(t, rt, m)
		lost := map[string]bool{} // owners whose records were found in namespaces
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				id := drawOwner(rt)
				if _, again := m.held[id]; again || lost[id] {
					return
				}
				w.store(func(s *Store) {
					got, err := s.Allocate(node, request(id))
					m.judge(rt, id, got, err)
				})
			},
			"del": func(rt *rapid.T) {
				id := drawOwner(rt)
				w.store(func(s *Store) {
					if _, err := s.Release(owner(id), "/run/netns/"+id); err != nil {
						rt.Fatal(err)
					}
				})
				m.release(id)
				delete(lost, id)
			},
			"replace": func(rt *rapid.T) {
				id := drawOwner(rt)
				if _, ok := m.held[id]; !ok || lost[id] {
					return
				}
				used := m.held[id][0]
				m.quarantined[used] = m.now + quarantineTime
				delete(m.held, id)
				w.store(func(s *Store) {
					got, err := s.Replace(node, request(id), used)
					m.judge(rt, id, got, err)
				})
			},
			"pools": func(rt *rapid.T) {
				split := rapid.SliceOfN(rapid.IntRange(0, 2), len(universe), len(universe)).Draw(rt, "whose")
				for i := range node.Pools {
					p := &node.Pools[i]
					p.Ranges = nodefile.Ranges{}
					for j, r := range universe {
						if split[j] == i {
							p.Ranges = append(p.Ranges, r)
						}
					}
					p.Exclude, p.Draining = some(rt, "exclude"), some(rt, "draining")
					p.Allocation = rapid.SampledFrom([]nodefile.Allocation{nodefile.AllocationEnabled, nodefile.AllocationEnabled, nodefile.AllocationDisabled}).Draw(rt, "allocation")
					p.Name = fmt.Sprintf("net.%d.v4.%s", i, rapid.SampledFrom([]string{"node", "renamed"}).Draw(rt, "name"))
				}
				if err := node.Validate(); err != nil {
					rt.Fatal(err)
				}
			},
			"lose": func(rt *rapid.T) {
				if !rapid.Bool().Draw(rt, "really") {
					return
				}
				var found []string
				for id, list := range m.held {
					lost[id] = true
					found = append(found, fmt.Sprintf("%s eth0 %s", id, list[0]))
				}
				slices.Sort(found)
				w.finds(found...)
				if err := os.WriteFile(w.path(), []byte("lost"), 0o600); err != nil {
					rt.Fatal(err)
				}
				clear(m.released)
				clear(m.quarantined)
			},
			"clock": func(rt *rapid.T) {
				m.now += time.Duration(rapid.SampledFrom([]int{1, 15, 31, 300}).Draw(rt, "seconds")) * time.Second
			},
			"": func(rt *rapid.T) {
				w.store(func(s *Store) {
					u, err := s.Usage(node)
					if err != nil {
						rt.Fatal(err)
					}
					m.judgeUsage(rt, u)
				})
			},
		})
	})
}

// judge says whether an allocation was right, by what must hold whatever the order.
func (m *model) judge(rt *rapid.T, id string, got Allocation, err error) {
	if err != nil {
		var exhausted *ExhaustedError
		if !errors.As(err, &exhausted) {
			rt.Fatal(err)
		}
		for i := range m.node.Pools {
			for _, a := range m.open(&m.node.Pools[i]) {
				if m.mayBeHad(a) {
					rt.Fatalf("%s could be had, and: %v", a, err)
				}
			}
		}
		return
	}
	a := got.Record.Addresses()[0]
	p := m.node.Pool(got.Addresses[0].Pool)
	switch {
	case !iprange.Contains(m.node.Open(p), a):
		rt.Fatalf("%s is not open in %s", a, p.Name)
	case !m.mayBeHad(a):
		rt.Fatalf("%s is held, resting or in quarantine", a)
	case got.Interface != p.Interface || got.Record.MAC != p.Interface.MAC:
		rt.Fatalf("%s is of %v, not of %v", a, p.Interface, got.Interface)
	}
	m.hold(id, p.Interface.MAC, []netip.Addr{a})
}

// judgeUsage compares the store's numbers with the model's.
func (m *model) judgeUsage(rt *rapid.T, u Usage) {
	stranded := 0
	for _, list := range m.held {
		if !slices.ContainsFunc(m.node.Pools, func(p nodefile.Pool) bool {
			return iprange.Contains(p.Ranges, list[0]) || iprange.Contains(p.Draining, list[0])
		}) {
			stranded++
		}
	}
	if len(u.Stranded) != stranded {
		rt.Fatalf("stranded: %v, want %d", u.Stranded, stranded)
	}
	for i := range m.node.Pools {
		p := &m.node.Pools[i]
		free, heldHere := int64(0), int64(0)
		for _, a := range m.open(p) {
			if m.mayBeHad(a) {
				free++
			}
		}
		for _, list := range m.held {
			if iprange.Contains(p.Ranges, list[0]) || iprange.Contains(p.Draining, list[0]) {
				heldHere++
			}
		}
		if got := u.Pools[i]; got.Free != free || got.Held != heldHere {
			rt.Fatalf("%+v, want %d free, %d held", got, free, heldHere)
		}
		for _, r := range u.Pools[i].Drained {
			if m.isHeld(r.First) || m.quarantined[r.First] > m.now {
				rt.Fatalf("%s is not drained", r)
			}
		}
	}
}

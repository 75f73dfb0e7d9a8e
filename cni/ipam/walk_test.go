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

// worldOf makes a world that follows a model's clock.
func worldOf(t *testing.T, rt *rapid.T, m *model) *world {
	w := newWorld(t, m.node)
	w.reporter = rt
	w.options.Folder = t.TempDir()
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
		if _, exhausted := errors.AsType[*ExhaustedError](err); !exhausted {
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

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

func (w *world) records() string {
	w.Helper()
	var names []string
	w.store(func(s *Store) {
		list, err := s.List()
		if err != nil {
			w.Fatal(err)
		}
		for _, r := range list {
			names = append(names, r.ContainerID+"/"+r.IfName)
		}
	})
	return strings.Join(names, " ")
}

func TestRelease(t *testing.T) {
	w := newWorld(t, ipv4())
	w.add("a")
	w.store(func(s *Store) {
		for _, want := range []int{1, 0} { // DEL twice
			freed, err := s.Release(owner("a"), "")
			if err != nil || len(freed) != want {
				t.Errorf("freed %v, %v, want %d records", freed, err, want)
			}
		}
		if freed, err := s.Release(owner("never"), "/run/netns/never"); err != nil || len(freed) != 0 { // DEL without ADD
			t.Errorf("freed %v, %v", freed, err)
		}
	})
}

func TestReleaseContainer(t *testing.T) {
	w := newWorld(t, oneNode(onePool(nodefile.IPv4, "10.0.1.0/28")))
	for _, id := range []string{"a", "ab", "b"} {
		for _, name := range []string{"eth0", "net1"} {
			r := request(id)
			r.Owner.IfName = name
			w.addRequest(r)
		}
	}
	w.store(func(s *Store) {
		for _, want := range []int{2, 0} {
			if freed, err := s.ReleaseContainer("a"); err != nil || len(freed) != want {
				t.Errorf("freed %v, %v, want %d records", freed, err, want)
			}
		}
	})
	w.want(w.records(), "ab/eth0 ab/net1 b/eth0 b/net1")
}

// A pod whose ADD fails again and again does not use up its pool, and an ADD that had its addresses from before does not lose them by Cancel's
// caller looking at Again.
func TestCancel(t *testing.T) {
	w := newWorld(t, oneNode(onePool(nodefile.IPv4, "10.0.1.8")))
	for range 3 {
		w.want(w.add("a"), "10.0.1.8")
		w.store(func(s *Store) {
			for range 2 {
				if err := s.Cancel(owner("a")); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestReplace(t *testing.T) {
	replace := func(w *world, id, used string) string {
		result := ""
		w.store(func(s *Store) {
			a, err := s.Replace(w.node, request(id), netip.MustParseAddr(used))
			if result = addresses(a); err != nil {
				result = err.Error()
			}
		})
		return result
	}
	for name, c := range map[string]struct {
		node *nodefile.File
		do   func(w *world)
	}{
		"the other family stays": {dual(), func(w *world) {
			w.want(w.add("a"), "10.0.1.0,fd00::10")
			w.want(replace(w, "a", "fd00::10"), "10.0.1.0,fd00::11")
			w.want(replace(w, "a", "10.0.1.0"), "10.0.1.1,fd00::11")
			w.want(w.add("a"), "10.0.1.1,fd00::11")
		}},
		"another interface takes over when this one has no more": {twoInterfaces(false), func(w *world) {
			w.pool(0).Ranges = mustRanges("10.0.1.0-10.0.1.3", "10.0.1.8")
			w.pool(0).Exclude = mustRanges("10.0.1.1-10.0.1.8")
			w.pool(1).Exclude = mustRanges("10.0.2.2-10.0.2.3")
			w.want(w.add("a"), "10.0.2.0")
			w.want(w.add("b"), "10.0.1.0")
			w.want(replace(w, "b", "10.0.1.0"), "10.0.2.1")
		}},
		"the interface stays though another has more room": {twoInterfaces(false), func(w *world) {
			w.want(w.add("a"), "10.0.1.0")
			w.want(replace(w, "a", "10.0.1.0"), "10.0.1.1")
		}},
		"nothing is left": {oneNode(onePool(nodefile.IPv4, "10.0.1.8")), func(w *world) {
			w.add("a")
			w.wantPart(replace(w, "a", "10.0.1.8"), "1 addresses, 0 held, 1 in quarantine", "rested in 5m0s")
			w.want(w.records(), "")
			w.del("a")
			w.now += 5*time.Minute - 1
			w.wantPart(w.add("b"), "1 in quarantine")
			w.now++
			w.want(w.add("b"), "10.0.1.8")
		}},
		"an address of somebody else": {ipv4(), func(w *world) {
			w.add("a")
			w.add("b")
			w.wantPart(replace(w, "a", "10.0.1.1"), "container a does not have address 10.0.1.1")
			w.want(w.records(), "a/eth0 b/eth0")
		}},
		"quarantine under a pool that was renamed ends too": {oneNode(onePool(nodefile.IPv4, "10.0.1.8")), func(w *world) {
			w.add("a")
			replace(w, "a", "10.0.1.8")
			w.pool(0).Name = "renamed"
			w.now += 5 * time.Minute
			w.want(w.add("b"), "10.0.1.8")
		}},
	} {
		t.Run(name, func(t *testing.T) { c.do(newWorld(t, c.node)) })
	}
}

// A pool that hands out one address after another, each given back at once.
func TestLongUse(t *testing.T) {
	for name, c := range map[string]struct {
		ranges string
		size   int
		// others come at the least before an address comes back.
		others int
		// waiting addresses that are kept at the most.
		waiting uint64
	}{
		"exact order":     {"10.0.16.0/22", 1024, 1023, 1024},
		"bounded memory":  {"10.0.16.0-10.0.21.219", 1500, 1499, remembered + 1},
		"an endless pool": {"10.0.16.0-10.0.255.250", 1 << 30, 1 << 30, remembered + 1},
	} {
		t.Run(name, func(t *testing.T) {
			node := oneNode(onePool(nodefile.IPv4, c.ranges))
			node.Networks[0].CooldownSeconds = 0
			w := newWorld(t, node)
			last := map[string]int{}
			w.store(func(s *Store) {
				for i := range 3500 {
					got := addresses(must(s.Allocate(node, request("a"))))
					if before, ok := last[got]; ok && i-before <= c.others {
						t.Fatalf("%s comes back after %d others", got, i-before-1)
					}
					last[got] = i
					w.now++
					_ = must(s.Release(owner("a"), ""))
				}
				err := s.view(func(b *book) error {
					rows, err := b.rows()
					if n := rows[1].released; n > c.waiting {
						t.Errorf("%d addresses are remembered, more than %d", n, c.waiting)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
			if want := min(c.size, 3500); len(last) != want {
				t.Errorf("%d addresses were handed out, not %d", len(last), want)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	newCollection := func(alive ...string) Collection {
		return Collection{Alive: func(r Record) (bool, error) { return slices.Contains(alive, r.ContainerID), nil }}
	}
	other := func(w *world) {
		n := w.node.Networks[0]
		n.Name = "other"
		w.node.Networks = append(w.node.Networks, n)
		p := onePool(nodefile.IPv4, "10.0.3.0/30")
		p.Name, p.Network = "other.0.v4.node", "other"
		w.node.Pools = append(w.node.Pools, p)
		r := request("o")
		r.Network = "other"
		w.addRequest(r)
	}
	for name, c := range map[string]struct {
		collection func(w *world) Collection
		age        time.Duration
		want       string // left
	}{
		"the dead go":    {func(*world) Collection { return newCollection("b") }, 3 * time.Minute, "b/eth0"},
		"the young stay": {func(*world) Collection { return newCollection() }, 2 * time.Minute, "a/eth0 b/eth0 o/eth0"},
		"of one network": {func(*world) Collection { c := newCollection(); c.Network = "net"; return c }, 3 * time.Minute, "o/eth0"},
		"the valid stay": {func(*world) Collection { c := newCollection(); c.Valid = map[Owner]bool{owner("a"): true}; return c }, 3 * time.Minute, "a/eth0"},
		"the living stay though nobody lists them": {func(*world) Collection {
			c := newCollection("a", "b", "o")
			c.Valid = map[Owner]bool{}
			return c
		}, 3 * time.Minute, "a/eth0 b/eth0 o/eth0"},
		"the unknown stay": {func(*world) Collection {
			return Collection{Alive: func(Record) (bool, error) { return false, errors.New("cannot enter") }}
		}, 3 * time.Minute, "a/eth0 b/eth0 o/eth0"},
		"an ADD came meanwhile": {func(w *world) Collection {
			return Collection{Alive: func(r Record) (bool, error) {
				if r.ContainerID == "a" { // the store is not locked: this would wait for ever
					w.add("a")
				}
				return false, nil
			}}
		}, 3 * time.Minute, "a/eth0"},
		"a DEL came meanwhile": {func(w *world) Collection {
			return Collection{Alive: func(r Record) (bool, error) { w.del(r.ContainerID); return false, nil }}
		}, 3 * time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ipv4())
			w.add("a")
			w.add("b")
			other(w)
			w.now += c.age
			before := strings.Fields(w.records())
			freed, err := Collect(t.Context(), w.options, c.collection(w))
			if err != nil {
				t.Fatal(err)
			}
			w.want(w.records(), c.want)
			if name != "a DEL came meanwhile" && len(freed) != len(before)-len(strings.Fields(c.want)) {
				t.Errorf("freed %v", freed)
			}
		})
	}
	t.Run("the end of time", func(t *testing.T) {
		w := newWorld(t, ipv4())
		w.add("a")
		w.now += time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Collect(ctx, w.options, Collection{Alive: func(Record) (bool, error) { cancel(); return true, nil }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

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

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
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

// A /80 that has been in use for long remembers a bounded number of addresses, none of them comes back early, and none is lost.
func TestMemoryIsBounded(t *testing.T) {
	node := oneNode(onePool(nodefile.IPv4, "10.0.16.0-10.0.35.135")) // 5000 addresses
	node.Networks[0].CooldownSeconds = 0
	w := newWorld(t, node)
	w.store(func(s *Store) {
		last := map[string]int{}
		for i := range 12000 {
			a, err := s.Allocate(node, request("a"))
			if err != nil {
				t.Fatal(err)
			}
			got := addresses(a)
			if before, ok := last[got]; ok && i-before < remembered {
				t.Fatalf("%s comes back after %d others", got, i-before)
			}
			last[got] = i
			w.now++
			if _, err := s.Release(owner("a"), ""); err != nil {
				t.Fatal(err)
			}
		}
		if len(last) != 5000 {
			t.Errorf("%d of 5000 addresses were handed out", len(last))
		}
		err := s.view(func(b *book) error {
			rows, err := b.rows()
			if n := rows[1].released; n > remembered+1 {
				t.Errorf("%d addresses are remembered, more than %d", n, remembered)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestUsage(t *testing.T) {
	w := newWorld(t, twoInterfaces(true))
	one, six := w.pool(0), w.pool(2)
	one.Ranges = mustRanges("10.0.1.0/28", "10.0.1.16/28")
	six.Ranges = mustRanges("fd00:0:0:0:1::/80")
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		r := request(id)
		r.Families = []nodefile.Family{nodefile.IPv4} // the first interface has most room
		w.addRequest(r)
	}
	w.want(w.add("f"), "10.0.2.0,fd00::1:0:0:0")
	w.del("a", "b")
	w.now += 20 * time.Second
	w.store(func(s *Store) {
		r := request("d")
		r.Families = []nodefile.Family{nodefile.IPv4}
		if _, err := s.Replace(w.node, r, netip.MustParseAddr("10.0.1.3")); err != nil { // gets 10.0.1.5
			t.Error(err)
		}
	})
	one.Exclude = mustRanges("10.0.1.15", "10.0.1.30-10.0.1.31")
	one.Draining = mustRanges("10.0.1.4/31", "10.0.1.16/28")
	w.pool(1).Ranges = mustRanges("10.0.2.1-10.0.2.3") // 10.0.2.0 is held

	usage := func() (u Usage) {
		w.store(func(s *Store) {
			var err error
			if u, err = s.Usage(w.node); err != nil {
				t.Fatal(err)
			}
		})
		return u
	}
	compare := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b iprange.Range) bool { return a == b })}
	want := Usage{
		Pools: []PoolUsage{
			{Pool: "net.0.v4.node", Interface: "eni-0a", Size: 29, Held: 3, Cooling: 2, Quarantined: 1, Draining: 14, Free: 16 - 1 - 2 - 1 - 2 - 1, Rests: 10 * time.Second, Drained: mustRanges("10.0.1.16/28")},
			{Pool: "net.1.v4.node", Interface: "eni-0b", Size: 3, Free: 3},
			{Pool: "net.1.v6.node", Interface: "eni-0b", Size: 1 << 48, Held: 1, Free: 1<<48 - 1},
		},
		Stranded: []Lease{{netip.MustParseAddr("10.0.2.0"), "net.1.v4.node"}},
	}
	if diff := cmp.Diff(want, usage(), compare); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	w.want(want.Pools[0].String(), "pool net.0.v4.node (eni-0a): 29 addresses, 3 held, 2 cooling, 1 in quarantine, 14 draining, 9 free")

	// Held addresses keep a draining range from being drained; released ones, though cooling, do not.
	w.del("d", "e")
	if got := nodefile.Ranges(usage().Pools[0].Drained).Strings(); !slices.Equal(got, []string{"10.0.1.4/31", "10.0.1.16/28"}) {
		t.Errorf("drained: %v", got)
	}
	one.Draining = mustRanges("10.0.1.2/31") // 10.0.1.3 is in quarantine: in use, though not by a pod of ours
	w.del("c")
	if got := usage().Pools[0].Drained; len(got) != 0 {
		t.Errorf("drained: %v", got)
	}
	w.now += 5 * time.Minute
	u := usage()
	if got := u.Pools[0]; len(got.Drained) != 1 || got.Free != 27 || got.Cooling+got.Quarantined+got.Held != 0 || got.Draining != 2 {
		t.Errorf("after all have rested: %+v", got)
	}
	w.pool(1).Allocation = nodefile.AllocationDisabled
	if got := usage().Pools[1]; got.Free != 0 || got.Draining != 3 || !got.Disabled {
		t.Errorf("disabled: %+v", got)
	}
}

// What the counting says is free can be had, and not one address more.
func TestUsageIsWhatCanBeHad(t *testing.T) {
	w := newWorld(t, oneNode(onePool(nodefile.IPv4, "10.0.1.0/28", "10.0.0.0-10.0.0.2")))
	w.add("a")
	w.add("b")
	w.del("a")
	w.pool(0).Exclude = mustRanges("10.0.1.5-10.0.1.7")
	w.pool(0).Draining = mustRanges("10.0.1.8/30")
	var free int64
	w.store(func(s *Store) {
		u, err := s.Usage(w.node)
		if err != nil {
			t.Fatal(err)
		}
		free = u.Pools[0].Free
		had := int64(0)
		for ; ; had++ {
			if _, err = s.Allocate(w.node, request("x"+strings.Repeat("y", int(had)))); err != nil {
				break
			}
		}
		var exhausted *ExhaustedError
		if !errors.As(err, &exhausted) || had != free {
			t.Errorf("%d addresses could be had, %d are free: %v", had, free, err)
		}
		if exhausted.RetryAfter != 30*time.Second || exhausted.Pools[0].Free != 0 {
			t.Errorf("%+v", exhausted)
		}
	})
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

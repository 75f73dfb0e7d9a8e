// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// reporter is what *testing.T and *rapid.T have in common.
type reporter interface {
	Context() context.Context
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a store under test with a clock of its own.
type world struct {
	reporter
	node    *nodefile.File
	options Options
	now     time.Duration
	logged  []string
}

func newWorld(tb testing.TB, node *nodefile.File) *world {
	w := &world{reporter: tb, node: node, now: time.Hour}
	w.options = Options{
		Folder: tb.TempDir(),
		Found:  nothingFound,
		Now:    func() time.Duration { return w.now },
		BootID: "boot-1",
		Log:    func(m string) { w.logged = append(w.logged, m) },
	}
	return w
}

// store runs fn with the store open, and then checks its invariants.
func (w *world) store(fn func(s *Store)) {
	w.Helper()
	s, err := Open(w.Context(), w.options)
	if err != nil {
		w.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			w.Error(err)
		}
	}()
	fn(s)
	problems, err := s.Check()
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range problems {
		w.Errorf("the checker finds: %s", p)
	}
}

func owner(id string) Owner { return Owner{ContainerID: id, IfName: "eth0"} }

func request(id string, wanted ...string) Request {
	r := Request{
		Owner:   owner(id),
		Network: "net",
		Pod:     Pod{Namespace: "default", Name: "pod-" + id, UID: "uid-" + id},
		Netns:   Netns{Path: "/run/netns/" + id, Inode: 4026530000},
	}
	for _, a := range wanted {
		r.Wanted = append(r.Wanted, netip.MustParseAddr(a))
	}
	return r
}

// add is ADD: the addresses, with commas between them, or the error.
func (w *world) add(id string, wanted ...string) string {
	w.Helper()
	return w.addRequest(request(id, wanted...))
}

func (w *world) addRequest(r Request) string {
	w.Helper()
	result := ""
	w.store(func(s *Store) {
		a, err := s.Allocate(w.node, r)
		if err != nil {
			result = err.Error()
			return
		}
		result = addresses(a)
	})
	return result
}

func addresses(a Allocation) string {
	list := make([]string, len(a.Addresses))
	for i, x := range a.Addresses {
		list[i] = x.Prefix.Addr().String()
	}
	return strings.Join(list, ",")
}

// del is DEL.
func (w *world) del(ids ...string) {
	w.Helper()
	for _, id := range ids {
		w.store(func(s *Store) {
			if _, err := s.Release(owner(id), ""); err != nil {
				w.Error(err)
			}
		})
	}
}

func (w *world) want(got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("got  %s\nwant %s", got, want)
	}
}

func (w *world) wantPart(got string, parts ...string) {
	w.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			w.Errorf("got %q, which lacks %q", got, part)
		}
	}
}

func (w *world) pool(i int) *nodefile.Pool { return &w.node.Pools[i] }

// dual has one interface with four addresses of each family.
func dual() *nodefile.File {
	return oneNode(onePool(nodefile.IPv4, "10.0.1.0/30"), onePool(nodefile.IPv6, "fd00::10/126"))
}

// ipv4 has one interface with four addresses.
func ipv4() *nodefile.File { return oneNode(onePool(nodefile.IPv4, "10.0.1.0/30")) }

// twoInterfaces have four IPv4 addresses each, and the second also IPv6 if dual.
func twoInterfaces(dual bool) *nodefile.File {
	first, second := onePool(nodefile.IPv4, "10.0.1.0/30"), onePool(nodefile.IPv4, "10.0.2.0/30")
	other := nodefile.Interface{ID: "eni-0b", MAC: "02:00:00:00:00:02", DeviceIndex: 1}
	second.Name, second.Interface = "net.1.v4.node", other
	node := oneNode(first, second)
	if dual {
		six := onePool(nodefile.IPv6, "fd00::10/126")
		six.Name, six.Interface = "net.1.v6.node", other
		node.Pools = append(node.Pools, six)
	}
	return node
}

// scenarios are things that happen to a node, by name.
type scenarios map[string]struct {
	node *nodefile.File
	do   func(w *world)
}

func (s scenarios) run(t *testing.T) {
	for name, c := range s {
		t.Run(name, func(t *testing.T) { c.do(newWorld(t, c.node)) })
	}
}

func nothingFound() ([]Found, error) { return nil, nil }

func onePool(family nodefile.Family, ranges ...string) nodefile.Pool {
	p := nodefile.Pool{
		Name:       "net.0.v4.node",
		Generation: 1,
		Network:    "net",
		Interface:  nodefile.Interface{ID: "eni-0a", MAC: "02:00:00:00:00:01"},
		Family:     family,
		Subnet:     netip.MustParsePrefix("10.0.0.0/16"),
		Gateway:    netip.MustParseAddr("10.0.0.1"),
		Ranges:     mustRanges(ranges...),
		Allocation: nodefile.AllocationEnabled,
	}
	if family == nodefile.IPv6 {
		p.Name = "net.0.v6.node"
		p.Subnet = netip.MustParsePrefix("fd00::/64")
		p.Gateway = netip.MustParseAddr("fe80:ec2::1")
	}
	return p
}

// oneNode has one network, which all pools serve.
func oneNode(pools ...nodefile.Pool) *nodefile.File {
	node := &nodefile.File{
		Version: nodefile.Version,
		Node:    nodefile.Node{Name: "node"},
		Networks: []nodefile.Network{{
			Name:            "net",
			CooldownSeconds: 30,
			RequestedIPs:    nodefile.RequestedIPsAllow,
			MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataBlock},
		}},
		Pools: pools,
	}
	if err := node.Validate(); err != nil {
		panic(err)
	}
	return node
}

func mustRanges(list ...string) nodefile.Ranges {
	r, err := nodefile.ParseRanges(list)
	if err != nil {
		panic(err)
	}
	return r
}

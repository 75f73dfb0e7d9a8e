// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package datapath

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// TestSharedFiltersOfAnotherVersion has an earlier version's on the node's interface: this version's come beside them, once.
func TestSharedFiltersOfAnotherVersion(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	nic := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "versions"}}
	must(netlink.LinkAdd(nic))
	defer func() { _ = netlink.LinkDel(nic) }()
	s, err := openSocket()
	must(err)
	defer s.close()
	e := &Endpoint{Identity: Identity{Container: "a", Name: "eth0"}, Addresses: []Address{ipv4(), ipv6()}, BlockMetadata: true}
	index := nic.Attrs().Index
	must(s.do(addFilterPoint(index)))
	filters := e.metadataFilters(index)
	shared := filters[:len(filters)-1]
	for _, f := range shared {
		f.handle, f.program = 1, everything()
		must(s.do(setFilter(f)))
	}
	var before have
	must(before.readFilters(s, index, outgoing))
	var told comparison
	for _, f := range shared {
		told.filter(e, f, before.filters)
	}
	if len(told.differences) > 0 {
		t.Errorf("CHECK says %q", told.differences)
	}
	for range 2 {
		for _, f := range shared {
			must(s.do(keepFilter(f)))
		}
		var after have
		must(after.readFilters(s, index, outgoing))
		if len(after.filters) != 2*len(shared) {
			t.Errorf("filters %v, want those of both versions", after.filters)
		}
	}
}

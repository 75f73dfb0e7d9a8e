// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

func TestOpenAndUsable(t *testing.T) {
	f := master()
	p := &f.Pools[0]
	p.Ranges = mustRanges("172.31.28.16/28", "172.31.16.0-172.31.16.4", "172.31.31.254-172.31.31.255", "172.31.18.10-172.31.18.12")
	p.Exclude = mustRanges("172.31.28.20", "fd00::/64")
	p.Draining = mustRanges("172.31.28.24/29")
	for name, c := range map[string]struct {
		got  []iprange.Range
		want Ranges
	}{
		"usable": {f.Usable(p), mustRanges("172.31.16.2-172.31.16.4", "172.31.18.10", "172.31.18.12", "172.31.28.16-172.31.28.19", "172.31.28.21-172.31.28.31", "172.31.31.254")},
		"open":   {f.Open(p), mustRanges("172.31.16.2-172.31.16.4", "172.31.18.10", "172.31.18.12", "172.31.28.16-172.31.28.19", "172.31.28.21-172.31.28.23", "172.31.31.254")},
	} {
		if diff := cmp.Diff(c.want.Strings(), Ranges(c.got).Strings()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	p.Allocation = AllocationDisabled
	if open := f.Open(p); len(open) > 0 {
		t.Errorf("a disabled pool is open for %v", open)
	}
	v6 := &f.Pools[1]
	v6.Ranges = mustRanges("2406:da1e:c4:ed01::/80")
	want := []string{"2406:da1e:c4:ed01::1-2406:da1e:c4:ed01:0:ffff:ffff:ffff"}
	if diff := cmp.Diff(want, Ranges(f.Open(v6)).Strings()); diff != "" {
		t.Errorf("the anycast address of the subnet's routers (-want +got):\n%s", diff)
	}
}

func TestSubnetOfTwo(t *testing.T) {
	f := master()
	p := &f.Pools[0]
	p.Subnet, p.Gateway, p.Ranges = netip.MustParsePrefix("10.0.0.0/31"), netip.MustParseAddr("10.0.0.0"), mustRanges("10.0.0.0/31")
	if diff := cmp.Diff([]string{"10.0.0.1"}, Ranges(f.Open(p)).Strings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQueries(t *testing.T) {
	f := master()
	if f.Network("ens6") != nil || f.Network("ens5") != &f.Networks[0] || f.DefaultNetwork() != &f.Networks[0] {
		t.Error("a network is not found, or one that is not there")
	}
	if f.Pool("ens5.0.v6.master") != &f.Pools[1] || f.Pool("x") != nil {
		t.Error("a pool is not found, or one that is not there")
	}
	if got := f.PoolsOf("ens5"); len(got) != 2 || len(f.PoolsOf("ens6")) != 0 {
		t.Errorf("pools of ens5: %v", got)
	}
	f.Pools[0].Allocation = AllocationDisabled
	if diff := cmp.Diff([]Family{IPv4, IPv6}, f.Families("ens5")); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
	n := Network{AllowedNamespaces: []string{"a"}}
	if !n.Allows("a") || n.Allows("b") || n.Allows("") || !(&Network{}).Allows("b") {
		t.Error("allowed namespaces are not kept")
	}
	block, allow := MetadataService{MetadataBlock, []string{"a"}}, MetadataService{MetadataAllow, []string{"a"}}
	if block.Blocks("a") || !block.Blocks("b") || !allow.Blocks("a") || allow.Blocks("b") {
		t.Error("the metadata service's exceptions are not the other way round")
	}
}

func TestHostLegPods(t *testing.T) {
	f := master()
	f.Pools[0].Ranges, f.Pools[0].Draining = mustRanges("172.31.28.16/28", "172.31.28.35-172.31.28.36"), mustRanges("172.31.28.32-172.31.28.34")
	f.Pools[1].Ranges = mustRanges("2406:da1e:c4:ed01:c57d::/80")
	mac := f.Pools[0].Interface.MAC
	want := []netip.Prefix{
		netip.MustParsePrefix("172.31.28.16/28"), netip.MustParsePrefix("172.31.28.32/30"), netip.MustParsePrefix("172.31.28.36/32"), netip.MustParsePrefix("2406:da1e:c4:ed01:c57d::/80"),
	}
	if diff := cmp.Diff(want, f.HostLegPods(mac), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := f.HostLegPods("02:00:00:00:10:99"); got != nil {
		t.Errorf("of another interface: %v", got)
	}
	f.Networks[0].HostLeg.Enabled = false
	if got := f.HostLegPods(mac); got != nil {
		t.Errorf("without host legs: %v", got)
	}
}

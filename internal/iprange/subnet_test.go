// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package iprange

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReserved(t *testing.T) {
	for subnet, want := range map[string][]string{
		"10.0.0.0/24": {"10.0.0.0", "10.0.0.255"},
		"10.0.0.0/30": {"10.0.0.0", "10.0.0.3"},
		"10.0.0.0/31": {},
		"10.0.0.7/32": {},
		"fd00::/64":   {"fd00::"},
		"fd00::/127":  {},
	} {
		r, err := Parse(subnet)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, reserved := range r.Reserved() {
			got = append(got, reserved.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", subnet, diff)
		}
	}
	if got := (Range{}).Reserved(); got != nil {
		t.Errorf("no subnet reserves %v", got)
	}
}

func TestReaches(t *testing.T) {
	for _, tt := range []struct {
		subnet, gateway string
		want            bool
	}{
		{"10.0.0.0/24", "10.0.0.1", true},
		{"10.0.0.0/24", "10.0.0.254", true},
		{"10.0.0.0/24", "10.0.0.0", false},
		{"10.0.0.0/24", "10.0.0.255", false},
		{"10.0.0.0/24", "10.0.1.1", false},
		{"10.0.0.0/24", "169.254.1.1", true},
		{"10.0.0.0/24", "fe80::1", false},
		{"10.0.0.0/31", "10.0.0.0", true},
		{"10.0.0.0/31", "10.0.0.1", true},
		{"fd00::/64", "fd00::", true},
		{"fd00::/64", "fd00::1", true},
		{"fd00::/64", "fe80:ec2::1", true},
		{"fd00::/64", "fd00:0:0:1::1", false},
		{"fd00::/64", "10.0.0.1", false},
	} {
		r, err := Parse(tt.subnet)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Reaches(netip.MustParseAddr(tt.gateway)); got != tt.want {
			t.Errorf("%s from %s: %v", tt.gateway, tt.subnet, got)
		}
	}
	if (Range{}).Reaches(netip.MustParseAddr("fe80::1")) || (Range{}).Reaches(netip.Addr{}) {
		t.Error("something is reached from no subnet")
	}
}

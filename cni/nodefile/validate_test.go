// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *File)
		want   string // empty: valid
	}{
		"the example":                   {func(*File) {}, ""},
		"no pools":                      {func(f *File) { f.Pools = nil }, ""},
		"no networks":                   {func(f *File) { f.Networks, f.Pools = nil, nil }, ""},
		"long label in the node's name": {func(f *File) { f.Node.Name = strings.Repeat("a", 100) + ".b" }, ""},
		"exclusion of the other family": {func(f *File) { f.Pools[0].Exclude = mustRanges("fd00::/64") }, ""},
		"two overlapping pools, one disabled": {func(f *File) {
			p := f.Pools[0]
			p.Name, p.Interface.MAC, p.Allocation = "other", "02:00:00:00:10:02", AllocationDisabled
			f.Pools = append(f.Pools, p)
		}, ""},
		"no node name":           {func(f *File) { f.Node.Name = "" }, `node.name ""`},
		"node address with zone": {func(f *File) { f.Node.Addresses = []netip.Addr{netip.MustParseAddr("fe80::1%eth0")} }, "without zone"},
		"network twice":          {func(f *File) { f.Networks = append(f.Networks, f.Networks[0]); f.Networks[1].Default = false }, "network ens5 appears twice"},
		"two default networks": {func(f *File) {
			n := f.Networks[0]
			n.Name = "ens6"
			f.Networks = append(f.Networks, n)
		}, "networks ens5, ens6 are all default"},
		"network name":          {func(f *File) { f.Networks[0].Name = "Ens5" }, "DNS label of at most 40"},
		"mtu":                   {func(f *File) { f.Networks[0].MTU = 1000 }, "mtu 1000"},
		"cooldown":              {func(f *File) { f.Networks[0].CooldownSeconds = -1 }, "cooldownSeconds -1"},
		"host leg CIDR":         {func(f *File) { f.Networks[0].HostLeg.CIDRs[0] = netip.MustParsePrefix("10.96.0.1/12") }, "10.96.0.1/12 must be a CIDR without host bits"},
		"route's destination":   {func(f *File) { f.Networks[0].Routes[0].Destination = netip.Prefix{} }, "must be a CIDR without host bits"},
		"route's families":      {func(f *File) { f.Networks[0].Routes[0].Gateway = netip.MustParseAddr("fe80::1") }, "an address of the same family"},
		"requestedIPs":          {func(f *File) { f.Networks[0].RequestedIPs = "" }, `requestedIPs "" must be Deny or Allow`},
		"metadata mode":         {func(f *File) { f.Networks[0].MetadataService.Mode = "block" }, `metadataService.mode "block"`},
		"namespace":             {func(f *File) { f.Networks[0].AllowedNamespaces = []string{"a.b"} }, `"a.b" must be the name of a namespace`},
		"pool name":             {func(f *File) { f.Pools[0].Name = "a_b" }, `pool "a_b"`},
		"pool twice":            {func(f *File) { f.Pools[1].Name = f.Pools[0].Name }, "pool ens5.0.v4.master appears twice"},
		"pool's network":        {func(f *File) { f.Pools[0].Network = "ens6" }, `network "ens6" is not in this file`},
		"generation":            {func(f *File) { f.Pools[0].Generation = -1 }, "generation -1"},
		"allocation":            {func(f *File) { f.Pools[0].Allocation = "" }, `allocation ""`},
		"upper-case MAC":        {func(f *File) { f.Pools[0].Interface.MAC = "02:00:00:00:10:0A" }, "unicast MAC in lower case"},
		"group MAC":             {func(f *File) { f.Pools[0].Interface.MAC = "03:00:00:00:10:01" }, "unicast MAC"},
		"no MAC":                {func(f *File) { f.Pools[0].Interface.MAC = "00:00:00:00:00:00" }, "unicast MAC"},
		"device index":          {func(f *File) { f.Pools[0].Interface.DeviceIndex = -1 }, "must not be negative"},
		"two identities":        {func(f *File) { f.Pools[1].Interface.ID = "eni-other" }, "differ about the interface with MAC 02:00:00:00:10:01"},
		"family":                {func(f *File) { f.Pools[0].Family = "ipv4" }, `ipFamily "ipv4"`},
		"subnet's family":       {func(f *File) { f.Pools[0].Subnet = f.Pools[1].Subnet }, "must be an IPv4 CIDR"},
		"gateway outside":       {func(f *File) { f.Pools[1].Gateway = netip.MustParseAddr("2406:da1e:c4:ed02::1") }, "must lie inside the subnet"},
		"gateway's family":      {func(f *File) { f.Pools[0].Gateway = netip.MustParseAddr("fe80:ec2::1") }, "must lie inside the subnet"},
		"range outside":         {func(f *File) { f.Pools[0].Ranges = mustRanges("172.31.32.0/28") }, "ranges: 172.31.32.0/28 must lie inside the subnet"},
		"range across the edge": {func(f *File) { f.Pools[0].Ranges = mustRanges("172.31.31.250-172.31.32.5") }, "must lie inside the subnet"},
		"empty range":           {func(f *File) { f.Pools[0].Draining = Ranges{{}} }, "holds no address"},
		"too many ranges": {func(f *File) {
			for i := range 129 {
				f.Pools[0].Exclude = append(f.Pools[0].Exclude, iprange.Single(netip.AddrFrom4([4]byte{172, 31, 17, byte(i)})))
			}
		}, "exclude has 129 entries"},
		"same place twice": {func(f *File) {
			p := f.Pools[0]
			p.Name, p.Ranges = "other", mustRanges("172.31.29.0/28")
			f.Pools = append(f.Pools, p)
		}, "are both of network ens5, eni-0c4e1f5a7b9d20001 and IPv4"},
		"overlap": {func(f *File) {
			p := f.Pools[0]
			p.Name, p.Interface.MAC, p.Ranges = "other", "02:00:00:00:10:02", mustRanges("172.31.28.0-172.31.28.16")
			f.Pools = append(f.Pools, p)
		}, "overlap in 172.31.28.0-172.31.28.16 and 172.31.28.16/28"},
	} {
		t.Run(name, func(t *testing.T) {
			f := master()
			c.change(f)
			err := f.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

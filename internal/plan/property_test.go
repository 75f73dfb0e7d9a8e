// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// shapes draws nodes with up to three interfaces that carry anything from nothing to a mixture.
func shapes(least, most int) *rapid.Generator[[]plantest.Node] {
	nic := rapid.Custom(func(t *rapid.T) plantest.Interface {
		return plantest.Interface{
			Prefixes4:    rapid.IntRange(0, 3).Draw(t, "prefixes4"),
			Secondaries4: rapid.IntRange(0, 6).Draw(t, "secondaries4"),
			Prefixes6:    rapid.IntRange(0, 2).Draw(t, "prefixes6"),
			Secondaries6: rapid.IntRange(0, 4).Draw(t, "secondaries6"),
			Gaps:         rapid.Bool().Draw(t, "gaps"),
			Tags: rapid.SampledFrom([]map[string]string{nil, {"role": "pods"}, {v1alpha1.NoManageTag: "true", "role": "pods"}}).
				Draw(t, "tags"),
		}
	})
	node := rapid.Custom(func(t *rapid.T) plantest.Node { return rapid.SliceOfN(nic, 0, 3).Draw(t, "interfaces") })
	return rapid.SliceOfN(node, least, most)
}

// someNetworks draws networks that may want the same interfaces, attachments and default.
func someNetworks() *rapid.Generator[[]v1alpha1.UnderlayNetwork] {
	one := rapid.Custom(func(t *rapid.T) v1alpha1.UnderlayNetwork {
		n := v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "name")}}
		if age := rapid.IntRange(0, 2).Draw(t, "age"); age > 0 {
			n.CreationTimestamp = metav1.NewTime(time.Unix(int64(age), 0))
		}
		n.Spec = v1alpha1.UnderlayNetworkSpec{
			Provider: rapid.SampledFrom([]v1alpha1.Provider{"", "", "", v1alpha1.ProviderManual}).Draw(t, "provider"),
			InterfaceSelector: rapid.SampledFrom([]v1alpha1.InterfaceSelector{{DeviceIndexes: []int32{0}}, {DeviceIndexes: []int32{1, 2}},
				{Names: []string{"ens6", "ens5"}}, {Tags: map[string]string{"role": "pods"}}}).Draw(t, "interfaces"),
			IPFamilies: rapid.SampledFrom([][]v1alpha1.IPFamily{nil, {v1alpha1.IPv4}, {v1alpha1.IPv6, v1alpha1.IPv4}}).Draw(t, "families"),
			AddressSources: rapid.SampledFrom([][]v1alpha1.AddressSource{nil, {v1alpha1.SourcePrefix}, {v1alpha1.SourceSecondaryIP}}).
				Draw(t, "sources"),
			Attachment: rapid.SampledFrom([]*v1alpha1.AttachmentReference{nil, nil, {Name: "shared"}}).Draw(t, "attachment"),
			Default:    rapid.Bool().Draw(t, "default"),
			Exclude: rapid.SampledFrom([][]v1alpha1.Range{nil, {"10.0.0.17-10.0.0.66", "2001:db8::/112"}, {"0.0.0.0/0"},
				{"10.0.0.16", "10.0.0.18", "10.0.0.80/29"}}).Draw(t, "exclude"),
			NodeSelector: rapid.SampledFrom([]*metav1.LabelSelector{nil, nil, {}, {MatchLabels: map[string]string{"parity": "odd"}}}).
				Draw(t, "nodes"),
		}
		return n
	})
	return rapid.SliceOfNDistinct(one, 0, 3, func(n v1alpha1.UnderlayNetwork) string { return n.Name })
}

// inputs draws valid inputs.
func inputs() *rapid.Generator[Inputs] {
	return rapid.Custom(func(t *rapid.T) Inputs {
		return Inputs{
			Inventory: plantest.Inventory(shapes(0, 5).Draw(t, "nodes")),
			Networks:  someNetworks().Draw(t, "networks"),
			Propose:   rapid.Bool().Draw(t, "propose"),
		}
	})
}

// broken draws inputs whose inventory nobody should trust: things given twice, left out, or put elsewhere.
func broken() *rapid.Generator[Inputs] {
	return rapid.Custom(func(t *rapid.T) Inputs {
		in := inputs().Draw(t, "valid")
		inv := &in.Inventory
		var nics []*v1alpha1.Interface
		for i := range inv.Nodes {
			for j := range inv.Nodes[i].Interfaces {
				nics = append(nics, &inv.Nodes[i].Interfaces[j])
			}
		}
		nic := func(label string) *v1alpha1.Interface { return nics[rapid.IntRange(0, len(nics)-1).Draw(t, label)] }
		for range rapid.IntRange(1, 4).Draw(t, "faults") {
			if len(nics) == 0 {
				break
			}
			a, b := nic("a"), nic("b")
			for _, like := range nics { // often one of the same subnet, whose addresses a could have
				if like != a && like.SubnetID == a.SubnetID && rapid.Bool().Draw(t, "alike") {
					b = like
				}
			}
			switch rapid.IntRange(0, 9).Draw(t, "fault") {
			case 0:
				a.IPv4Prefixes = append(a.IPv4Prefixes, b.IPv4Prefixes...)
			case 1:
				a.SecondaryIPv6 = append(a.SecondaryIPv6, b.SecondaryIPv6...)
			case 2:
				a.SecondaryIPv4 = append(a.SecondaryIPv4, b.PrimaryIPv4, b.PrimaryIPv4.Next())
			case 3:
				a.SubnetID = b.SubnetID
			case 4:
				a.SubnetID = "subnet-unknown"
			case 5:
				a.DeviceIndex, a.NetworkCardIndex = b.DeviceIndex, 1
			case 6:
				a.ID, a.MACAddress = b.ID, b.MACAddress
			case 7:
				inv.Subnets[0].IPv6CIDR = netip.Prefix{}
			case 8:
				inv.Subnets = append(inv.Subnets, v1alpha1.Subnet{ID: a.SubnetID, CIDR: netip.MustParsePrefix("10.0.0.0/8")})
			case 9:
				a.IPv4Prefixes = append(a.IPv4Prefixes, netip.MustParsePrefix("10.0.0.0/24"), netip.Prefix{})
			}
		}
		for i := range inv.Nodes {
			if n := &inv.Nodes[i]; len(n.Interfaces) > 0 && rapid.Bool().Draw(t, "internal") {
				n.InternalIPs = append(n.InternalIPs, n.Interfaces[0].SecondaryIPv4...)
			}
		}
		if rapid.Bool().Draw(t, "node twice") && len(inv.Nodes) > 0 {
			inv.Nodes = append(inv.Nodes, inv.Nodes[0])
		}
		if rapid.Bool().Draw(t, "other IPAM") {
			inv.OtherIPAM = []v1alpha1.OtherIPAM{v1alpha1.AWSVPCCNI}
		}
		return in
	})
}

// usable is what a pool hands out.
func usable(t rapid.TB, p *v1alpha1.UnderlayPool) []iprange.Range {
	return iprange.Subtract(parsed(t, p.Spec.Ranges), parsed(t, p.Spec.Exclude))
}

func parsed(t rapid.TB, in []v1alpha1.Range) []iprange.Range {
	out := make([]iprange.Range, 0, len(in))
	for _, s := range in {
		r, err := iprange.Parse(string(s))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestNoAddressIsInTwoPools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := For(broken().Draw(t, "inputs"))
		type owned struct {
			iprange.Range
			pool string
		}
		var all []owned
		for i := range p.Pools {
			for _, r := range parsed(t, p.Pools[i].Spec.Ranges) { // excluded addresses are in no other pool either
				all = append(all, owned{r, p.Pools[i].Name})
			}
		}
		slices.SortFunc(all, func(a, b owned) int { return a.Compare(b.Range) })
		for i := 1; i < len(all); i++ {
			if all[i-1].Overlaps(all[i].Range) {
				t.Errorf("%s of %s and %s of %s overlap", all[i-1].Range, all[i-1].pool, all[i].Range, all[i].pool)
			}
		}
	})
}

// TestPoolsHaveWhatTheInterfaceHas holds each pool against the interface in the inventory, without the planner's help.
func TestPoolsHaveWhatTheInterfaceHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := broken().Draw(t, "inputs")
		p, _ := For(in)
		for i := range p.Pools {
			pool := &p.Pools[i]
			node, nic := locate(t, in.Inventory, pool)
			bound, own := bindings(nic, pool.Spec.IPFamily)
			if stray := iprange.Subtract(parsed(t, pool.Spec.Ranges), bound); len(stray) > 0 {
				t.Errorf("pool %s has %v, which interface %s has not", pool.Name, stray, nic.ID)
			}
			for _, a := range slices.Concat(own, node.InternalIPs) {
				if iprange.Contains(usable(t, pool), a) {
					t.Errorf("pool %s hands out %s, the node's own", pool.Name, a)
				}
			}
			subnet, err := iprange.Parse(string(pool.Spec.Subnet))
			if err != nil {
				t.Fatal(err)
			}
			if stray := iprange.Subtract(parsed(t, pool.Spec.Ranges), []iprange.Range{subnet}); len(stray) > 0 {
				t.Errorf("pool %s has %v outside its subnet %s", pool.Name, stray, subnet)
			}
			for _, a := range []netip.Addr{subnet.First, subnet.FirstN(4).Last, subnet.Last} {
				if iprange.Contains(usable(t, pool), a) {
					t.Errorf("pool %s hands out %s, which AWS keeps", pool.Name, a)
				}
			}
			for _, n := range in.Networks {
				for _, hole := range parsed(t, n.Spec.Exclude) {
					if n.Name == pool.Spec.NetworkName && slices.ContainsFunc(usable(t, pool), hole.Overlaps) {
						t.Errorf("pool %s hands out of %s, which its network excludes", pool.Name, hole)
					}
				}
			}
			ranges, exclude := parsed(t, pool.Spec.Ranges), parsed(t, pool.Spec.Exclude)
			if !slices.IsSortedFunc(ranges, iprange.Range.Compare) || !slices.IsSortedFunc(exclude, iprange.Range.Compare) {
				t.Errorf("pool %s is not sorted: %v without %v", pool.Name, ranges, exclude)
			}
			if stray := iprange.Subtract(exclude, ranges); len(stray) > 0 {
				t.Errorf("pool %s excludes %v, which it has not", pool.Name, stray)
			}
		}
	})
}

// TestNothingIsForgotten: of a valid inventory, all that interfaces carry is in pools when a network wants it all.
func TestNothingIsForgotten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inv := plantest.Inventory(shapes(1, 4).Draw(t, "nodes"))
		p, findings := For(Inputs{Inventory: inv, Propose: true})
		for _, f := range findings {
			if f.Severity != Info && f.ID != IDInterfaceWithoutAddresses && f.ID != IDNothingToPropose {
				t.Errorf("finding %+v", f)
			}
		}
		var wanted, got []iprange.Range
		for _, n := range inv.Nodes {
			for _, nic := range n.Interfaces {
				for _, family := range []v1alpha1.IPFamily{v1alpha1.IPv4, v1alpha1.IPv6} {
					bound, _ := bindings(nic, family)
					wanted = append(wanted, bound...)
				}
			}
		}
		for i := range p.Pools {
			got = append(got, parsed(t, p.Pools[i].Spec.Ranges)...)
		}
		if d := cmp.Diff(texts(iprange.Merge(wanted)), texts(iprange.Merge(got))); d != "" {
			t.Error(d)
		}
	})
}

// TestSharedAddresses holds the one walk over all addresses against all pairs of them.
func TestSharedAddresses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := &view{nodes: []*node{{Node: &v1alpha1.Node{}}}}
		var all []*address
		for range rapid.IntRange(1, 5).Draw(t, "interfaces") {
			n := &nic{Interface: &v1alpha1.Interface{}, node: v.nodes[0]}
			v.nodes[0].nics = append(v.nodes[0].nics, n)
			for range rapid.IntRange(0, 5).Draw(t, "addresses") {
				bits := rapid.IntRange(120, 128).Draw(t, "bits")
				base := rapid.SampledFrom([]string{"fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00", "0.0.0.0"}).Draw(t, "base")
				a := netip.MustParseAddr(base)
				if a.Is4() {
					bits -= 96
				}
				for range rapid.IntRange(0, 40).Draw(t, "offset") {
					a = a.Next()
				}
				n.addresses = append(n.addresses, address{Range: iprange.FromPrefix(netip.PrefixFrom(a, bits)), nic: n})
			}
			for i := range n.addresses {
				all = append(all, &n.addresses[i])
			}
		}
		v.markShared()
		for _, a := range all {
			shared := slices.ContainsFunc(all, func(b *address) bool { return a.nic != b.nic && a.Overlaps(b.Range) })
			if shared != (a.other != nil) || a.other == a.nic {
				t.Errorf("%s: shared %v, but marked %v", a.Range, shared, a.other != nil)
			}
		}
	})
}

func TestAddingANodeChangesNoOtherNodesPools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := shapes(1, 6).Draw(t, "nodes")
		networks := someNetworks().Draw(t, "networks")
		before, _ := For(Inputs{Inventory: plantest.Inventory(all[:len(all)-1]), Networks: networks})
		after, _ := For(Inputs{Inventory: plantest.Inventory(all), Networks: networks})
		added := fmt.Sprintf("node-%04d", len(all)-1)
		rest := slices.DeleteFunc(after.Pools, func(p v1alpha1.UnderlayPool) bool { return p.Spec.NodeName == added })
		if d := cmp.Diff(names(before.Pools), names(rest)); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff(Plan{Pools: before.Pools}.Objects(), Plan{Pools: rest}.Objects()); d != "" {
			t.Error(d)
		}
	})
}

func TestOrderOfInputsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := broken().Draw(t, "inputs")
		p, findings := For(in)
		shuffled := shuffle(in, rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))))
		again, findingsAgain := For(shuffled)
		if d := cmp.Diff(findings, findingsAgain); d != "" {
			t.Errorf("findings: %s", d)
		}
		if d := cmp.Diff(networkNames(p), networkNames(again)); d != "" {
			t.Errorf("networks: %s", d)
		}
		p.Networks, again.Networks = nil, nil // those given are as the user wrote them
		if d := cmp.Diff(p.Objects(), again.Objects()); d != "" {
			t.Errorf("objects: %s", d)
		}
		spider, spiderFindings := Spiderpool(p, in.Inventory, SpiderpoolOptions{})
		spiderAgain, spiderFindingsAgain := Spiderpool(again, shuffled.Inventory, SpiderpoolOptions{})
		if d := cmp.Diff(spider, spiderAgain); d != "" {
			t.Errorf("Spiderpool's objects: %s", d)
		}
		if d := cmp.Diff(spiderFindings, spiderFindingsAgain); d != "" {
			t.Errorf("Spiderpool's findings: %s", d)
		}
	})
}

func TestForLeavesItsInputsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := broken().Draw(t, "inputs")
		before := key(t, in)
		p, _ := For(in)
		p.Objects()
		if d := cmp.Diff(before, key(t, in)); d != "" {
			t.Error(d)
		}
	})
}

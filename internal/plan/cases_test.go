// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// lines renders a plan: its pools and attachments, and the findings.
func lines(p Plan, findings []Finding) []string {
	var out []string
	for i := range p.Pools {
		s := &p.Pools[i].Spec
		line := fmt.Sprintf("%s: %s", p.Pools[i].Name, strings.Join(ranges(s.Ranges), " "))
		if len(s.Exclude) > 0 {
			line += " but " + strings.Join(ranges(s.Exclude), " ")
		}
		out = append(out, line)
	}
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s %s %s: %s", f.Severity, f.ID, f.Object, f.Message))
	}
	return out
}

func ranges(in []v1alpha1.Range) []string {
	out := make([]string, 0, len(in))
	for _, r := range in {
		out = append(out, string(r))
	}
	return out
}

// one is an inventory of one node with one interface, eni-0000-0 in 10.0.0.0/16, with the prefix 10.0.0.64/28.
func one() v1alpha1.Inventory {
	inv := plantest.Inventory([]plantest.Node{{{Prefixes4: 1}}})
	inv.Nodes[0].Interfaces[0].PrimaryIPv6 = netip.Addr{}
	return inv
}

// two is an inventory of two nodes with two interfaces each, one IPv4 prefix on each.
func two() v1alpha1.Inventory {
	return plantest.Inventory(plantest.Uniform(2, plantest.Node{{Prefixes4: 1}, {Prefixes4: 1}}))
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestRanges(t *testing.T) {
	tests := []struct {
		name   string
		change func(*v1alpha1.Interface, *v1alpha1.Inventory)
		spec   func(*v1alpha1.UnderlayNetworkSpec)
		want   []string
	}{
		{name: "a prefix", want: []string{"net.0.v4.node-0000: 10.0.0.64/28"}},
		{
			name: "prefixes stay apart, adjacent secondary addresses become one range",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.IPv4Prefixes = append(i.IPv4Prefixes, prefix("10.0.0.80/28"))
				i.SecondaryIPv4 = []netip.Addr{addr("10.0.0.23"), addr("10.0.0.21"), addr("10.0.0.20"), addr("10.0.0.22"), addr("10.0.0.99")}
			},
			want: []string{"net.0.v4.node-0000: 10.0.0.20-10.0.0.23 10.0.0.64/28 10.0.0.80/28 10.0.0.99"},
		},
		{
			name: "a secondary address inside a prefix is a part of it, even where prefixes are not used",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.SecondaryIPv4 = []netip.Addr{addr("10.0.0.70"), addr("10.0.0.90")}
			},
			spec: func(s *v1alpha1.UnderlayNetworkSpec) {
				s.AddressSources = []v1alpha1.AddressSource{v1alpha1.SourceSecondaryIP}
			},
			want: []string{"net.0.v4.node-0000: 10.0.0.90"},
		},
		{
			name: "a prefix given twice, and one inside another, count once",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.IPv4Prefixes = append(i.IPv4Prefixes, prefix("10.0.0.64/28"), prefix("10.0.0.64/29"), prefix("10.0.0.72/29"))
			},
			want: []string{"net.0.v4.node-0000: 10.0.0.64/28"},
		},
		{
			name: "the primary address, the node's and AWS's own are excluded",
			change: func(i *v1alpha1.Interface, inv *v1alpha1.Inventory) {
				i.IPv4Prefixes = []netip.Prefix{prefix("10.0.0.0/28"), prefix("10.0.255.240/28")}
				inv.Nodes[0].InternalIPs = append(inv.Nodes[0].InternalIPs, addr("10.0.0.5"), addr("fd00::1"))
			},
			want: []string{"net.0.v4.node-0000: 10.0.0.0/28 10.0.255.240/28 but 10.0.0.0/30 10.0.0.5 10.0.0.10 10.0.255.255"},
		},
		{
			name: "AWS's own are excluded from IPv6 too",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.IPv4Prefixes = nil
				i.IPv6Prefixes = []netip.Prefix{prefix("2001:db8::/80")}
				i.SecondaryIPv6 = []netip.Addr{addr("2001:db8::ffff:ffff:ffff:ffff"), addr("2001:db8::ffff:ffff:ffff:fffe")}
			},
			want: []string{"net.0.v6.node-0000: 2001:db8::/80 2001:db8::ffff:ffff:ffff:fffe-2001:db8::ffff:ffff:ffff:ffff " +
				"but 2001:db8::/126 2001:db8::ffff:ffff:ffff:ffff"},
		},
		{
			name: "of the network's exclusions the parts inside the ranges",
			spec: func(s *v1alpha1.UnderlayNetworkSpec) {
				s.Exclude = []v1alpha1.Range{"10.0.0.78-10.0.0.90", "10.0.0.64", "192.168.0.0/16", "10.0.0.65"}
			},
			want: []string{"net.0.v4.node-0000: 10.0.0.64/28 but 10.0.0.64/31 10.0.0.78/31"},
		},
		{
			name: "a range may be excluded as a whole",
			spec: func(s *v1alpha1.UnderlayNetworkSpec) { s.Exclude = []v1alpha1.Range{"10.0.0.0/16"} },
			want: []string{"net.0.v4.node-0000: 10.0.0.64/28 but 10.0.0.64/28"},
		},
		{
			name: "another card is in the name",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.NetworkCardIndex = 2
			},
			want: []string{"net.2-0.v4.node-0000: 10.0.0.64/28"},
		},
		{
			name: "more ranges than a pool takes",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.IPv4Prefixes = nil
				for k := range 130 {
					i.SecondaryIPv4 = append(i.SecondaryIPv4, netip.AddrFrom4([4]byte{10, 0, 1, byte(k)}), netip.AddrFrom4([4]byte{10, 0, 2, byte(2 * k)}))
				}
				i.SecondaryIPv4 = i.SecondaryIPv4[:2*127+1]
			},
			want: []string{
				"net.0.v4.node-0000: 10.0.1.0-10.0.1.127 " + every(127),
			},
		},
		{
			name: "more exclusions than a pool takes cost ranges",
			change: func(i *v1alpha1.Interface, _ *v1alpha1.Inventory) {
				i.IPv4Prefixes = []netip.Prefix{prefix("10.0.0.0/28"), prefix("10.0.1.0/24"), prefix("10.0.2.0/24")}
			},
			spec: func(s *v1alpha1.UnderlayNetworkSpec) {
				for k := range 128 {
					s.Exclude = append(s.Exclude, v1alpha1.Range(fmt.Sprintf("10.0.1.%d", 2*k)))
				}
			},
			want: []string{
				"net.0.v4.node-0000: 10.0.0.0/28 but 10.0.0.0/30 10.0.0.10",
				"warning too-many-ranges interface/eni-0000-0 (node-0000): network net: 3 IPv4 ranges and their exclusions do not fit " +
					"into one pool, which has at most 128 of each: the last 2 are left out",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := one()
			if tt.change != nil {
				tt.change(&inv.Nodes[0].Interfaces[0], &inv)
			}
			n := network4("net", 0)
			n.Spec.IPFamilies = nil
			if tt.spec != nil {
				tt.spec(&n.Spec)
			}
			got := lines(For(Inputs{Inventory: inv, Networks: []v1alpha1.UnderlayNetwork{n}}))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// every is n addresses, every second one from 10.0.2.0.
func every(n int) string {
	var out []string
	for k := range n {
		out = append(out, fmt.Sprintf("10.0.2.%d", 2*k))
	}
	return strings.Join(out, " ")
}

func TestTooManyRanges(t *testing.T) {
	inv := one()
	i := &inv.Nodes[0].Interfaces[0]
	for k := range 200 {
		i.SecondaryIPv4 = append(i.SecondaryIPv4, netip.AddrFrom4([4]byte{10, 0, byte(1 + k/100), byte(2 * (k % 100))}))
	}
	p, findings := For(Inputs{Inventory: inv, Propose: true})
	if len(p.Pools) != 1 || len(p.Pools[0].Spec.Ranges) != 128 || p.Pools[0].Spec.Ranges[0] != "10.0.0.64/28" {
		t.Errorf("pools %+v", p.Pools)
	}
	if len(findings) != 1 || findings[0].ID != IDTooManyRanges || !strings.Contains(findings[0].Message, "the last 73 are left out") {
		t.Errorf("findings %+v", findings)
	}
}

func TestSelection(t *testing.T) {
	all := func(name string, s v1alpha1.InterfaceSelector) v1alpha1.UnderlayNetwork {
		n := network4(name, 0)
		n.Spec.InterfaceSelector = s
		return n
	}
	selecting := func(n v1alpha1.UnderlayNetwork, labels map[string]string) v1alpha1.UnderlayNetwork {
		n.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: labels}
		return n
	}
	aged := func(n v1alpha1.UnderlayNetwork, second int64) v1alpha1.UnderlayNetwork {
		n.CreationTimestamp = metav1.NewTime(time.Unix(second, 0))
		return n
	}
	tests := []struct {
		name     string
		change   func(*v1alpha1.Inventory)
		networks []v1alpha1.UnderlayNetwork
		want     []string
	}{
		{
			name:     "by device index, on all Linux nodes",
			change:   func(inv *v1alpha1.Inventory) { inv.Nodes[1].Labels = map[string]string{"kubernetes.io/os": "windows"} },
			networks: []v1alpha1.UnderlayNetwork{network4("n", 1)},
			want:     []string{"n.1.v4.node-0000: 10.1.0.64/28"},
		},
		{
			name:     "by link name",
			networks: []v1alpha1.UnderlayNetwork{all("n", v1alpha1.InterfaceSelector{Names: []string{"ens9", "ens5"}})},
			want:     []string{"n.0.v4.node-0000: 10.0.0.64/28", "n.0.v4.node-0001: 10.0.1.64/28"},
		},
		{
			name: "by all of several tags",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces[0].Tags = map[string]string{"role": "pods"}
				inv.Nodes[1].Interfaces[1].Tags = map[string]string{"role": "pods", "tier": "1"}
			},
			networks: []v1alpha1.UnderlayNetwork{all("n", v1alpha1.InterfaceSelector{Tags: map[string]string{"role": "pods", "tier": "1"}})},
			want: []string{"n.1.v4.node-0001: 10.1.1.64/28",
				"info node-without-interface network/n: 1 of 2 selected nodes has no interface with the tags role=pods, tier=1, " +
					"so pods of this network cannot run there: node-0000"},
		},
		{
			name:     "by the labels that every node has",
			change:   func(inv *v1alpha1.Inventory) { inv.Nodes[0].Labels, inv.Nodes[1].Labels = nil, nil },
			networks: []v1alpha1.UnderlayNetwork{selecting(network4("n", 0), map[string]string{"kubernetes.io/hostname": "node-0001", "kubernetes.io/os": "linux"})},
			want:     []string{"n.0.v4.node-0001: 10.0.1.64/28"},
		},
		{
			name:     "no node",
			networks: []v1alpha1.UnderlayNetwork{selecting(network4("n", 0), map[string]string{"no": "such"})},
			want:     []string{"warning network-without-nodes network/n: no node matches the network's nodeSelector"},
		},
		{
			name:     "no interface",
			networks: []v1alpha1.UnderlayNetwork{network4("n", 7)},
			want: []string{"warning node-without-interface network/n: none of 2 selected nodes has an interface with device index 7: " +
				"the network has no pool"},
		},
		{
			name:     "no address",
			change:   func(inv *v1alpha1.Inventory) { inv.Nodes[1].Interfaces[0].IPv4Prefixes = nil },
			networks: []v1alpha1.UnderlayNetwork{network4("n", 0, v1alpha1.SourcePrefix)},
			want: []string{"n.0.v4.node-0000: 10.0.0.64/28",
				"warning interface-without-addresses network/n: 1 of 2 chosen interfaces has no address for the network " +
					"(IPv4, from Prefix): eni-0001-0 (node-0001)"},
		},
		{
			name:     "two networks want the same: the older one has it",
			networks: []v1alpha1.UnderlayNetwork{aged(network4("a", 0), 2), network4("0", 0), aged(network4("z", 0), 1)},
			want: []string{"z.0.v4.node-0000: 10.0.0.64/28", "z.0.v4.node-0001: 10.0.1.64/28",
				"warning interface-shared network/0: network z came first and has the addresses of 2 interfaces that this network chooses too: " +
					"eni-0000-0 (node-0000), eni-0001-0 (node-0001)",
				"warning interface-shared network/a: network z came first and has the addresses of 2 interfaces that this network chooses too: " +
					"eni-0000-0 (node-0000), eni-0001-0 (node-0001)"},
		},
		{
			name:     "without age the name decides",
			change:   func(inv *v1alpha1.Inventory) { inv.Nodes = inv.Nodes[:1] },
			networks: []v1alpha1.UnderlayNetwork{network4("b", 0), all("a", v1alpha1.InterfaceSelector{Names: []string{"ens5"}})},
			want: []string{"a.0.v4.node-0000: 10.0.0.64/28",
				"warning interface-shared network/b: network a came first and has the addresses of 1 interface that this network chooses too: " +
					"eni-0000-0 (node-0000)"},
		},
		{
			name: "two networks share an interface by source",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces[0].SecondaryIPv4 = []netip.Addr{addr("10.0.0.20")}
				inv.Nodes = inv.Nodes[:1]
			},
			networks: []v1alpha1.UnderlayNetwork{network4("a", 0, v1alpha1.SourcePrefix), network4("b", 0, v1alpha1.SourceSecondaryIP)},
			want:     []string{"a.0.v4.node-0000: 10.0.0.64/28", "b.0.v4.node-0000: 10.0.0.20"},
		},
		{
			name: "a Manual network has no pools of ours",
			networks: func() []v1alpha1.UnderlayNetwork {
				n := network4("n", 0)
				n.Spec.Provider = v1alpha1.ProviderManual
				return []v1alpha1.UnderlayNetwork{n}
			}(),
		},
		{
			name: "another IPAM owns the interfaces, but for one",
			change: func(inv *v1alpha1.Inventory) {
				inv.OtherIPAM = []v1alpha1.OtherIPAM{v1alpha1.AWSVPCCNI}
				inv.Nodes[0].Interfaces[1].Tags = map[string]string{v1alpha1.NoManageTag: "true"}
				inv.Nodes[1].Interfaces[0].IPv4Prefixes = nil
			},
			networks: []v1alpha1.UnderlayNetwork{network4("n", 1)},
			want: []string{"n.1.v4.node-0000: 10.1.0.64/28",
				"warning interface-owned-by-other-ipam interface/eni-0001-1 (node-0001): a network chooses this interface, but the AWS VPC CNI " +
					"(aws-node) hands out its addresses: no pool is made",
				"info interface-owned-by-other-ipam interface/eni-0000-0 (node-0000): the AWS VPC CNI (aws-node) hands out the addresses " +
					"of this interface: it is left alone"},
		},
		{
			name: "interfaces with the tags of other IPAMs, of which none was found in the cluster",
			change: func(inv *v1alpha1.Inventory) {
				inv.Nodes[0].Interfaces[0].Tags = map[string]string{v1alpha1.AWSVPCCNITag: "i-0000", "cluster.k8s.amazonaws.com/name": "prod"}
				inv.Nodes[0].Interfaces[1].Tags = map[string]string{v1alpha1.AWSVPCCNITag: "i-0000", v1alpha1.NoManageTag: "true"}
				inv.Nodes[1].Interfaces[0].Tags = map[string]string{v1alpha1.CiliumENITag: "true"}
			},
			networks: []v1alpha1.UnderlayNetwork{network4("n", 1)},
			want: []string{"n.1.v4.node-0000: 10.1.0.64/28", "n.1.v4.node-0001: 10.1.1.64/28",
				"info interface-owned-by-other-ipam interface/eni-0000-0 (node-0000): the AWS VPC CNI (aws-node) hands out the addresses " +
					"of this interface: it is left alone",
				"info interface-owned-by-other-ipam interface/eni-0001-0 (node-0001): Cilium in ENI mode hands out the addresses " +
					"of this interface: it is left alone"},
		},
		{
			name: "two attachments of one name, two default networks",
			networks: func() []v1alpha1.UnderlayNetwork {
				a, b := network4("a", 0), network4("b", 1)
				a.Spec.Attachment = &v1alpha1.AttachmentReference{Namespace: "kube-system", Name: "ipvlan-b"}
				a.Spec.Default, b.Spec.Default = true, true
				return []v1alpha1.UnderlayNetwork{b, a}
			}(),
			want: []string{"a.0.v4.node-0000: 10.0.0.64/28", "a.0.v4.node-0001: 10.0.1.64/28",
				"b.1.v4.node-0000: 10.1.0.64/28", "b.1.v4.node-0001: 10.1.1.64/28",
				"error attachment-shared network/b: its attachment kube-system/ipvlan-b belongs to network a already: none is made for this network",
				"error default-network-twice network/b: network a is the default already on 2 nodes that this network would be the default of: " +
					"node-0000, node-0001"},
		},
		{
			name: "networks that cannot be read",
			networks: func() []v1alpha1.UnderlayNetwork {
				bad := []v1alpha1.UnderlayNetwork{network4("Upper", 0), network4("both", 0), network4("range", 0), network4("selector", 0),
					network4("twice", 0), network4("twice", 1)}
				bad[1].Spec.InterfaceSelector.Names = []string{"ens5"}
				bad[2].Spec.Exclude = []v1alpha1.Range{"10.0.0.1/24"}
				bad[3].Spec.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
				return bad
			}(),
			want: []string{"twice.0.v4.node-0000: 10.0.0.64/28", "twice.0.v4.node-0001: 10.0.1.64/28",
				`error network-invalid network/Upper: metadata.name "Upper" must be a DNS label of at most 40 characters: lower-case letters, digits and -`,
				"error network-invalid network/both: spec.interfaceSelector chooses in 2 ways: choose interfaces in exactly one: deviceIndexes, names or tags",
				`error network-invalid network/range: spec.exclude[0]: range "10.0.0.1/24": bits beyond the mask are set: write 10.0.0.0/24 for the network, 10.0.0.1 for the address`,
				`error network-invalid network/selector: spec.nodeSelector: "Near" is not a valid label selector operator`,
				"error network-invalid network/twice: another network has the same name: rename or remove one of them"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := two()
			if tt.change != nil {
				tt.change(&inv)
			}
			got := lines(For(Inputs{Inventory: inv, Networks: tt.networks}))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

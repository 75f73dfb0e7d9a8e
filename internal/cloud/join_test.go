// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// instance with one interface: its primary IPv4 address, then the others.
func instance(id string, ips ...string) cloud.Instance {
	nic := v1alpha1.Interface{ID: "eni-" + id[2:], SubnetID: "subnet-1"}
	for i, addr := range addrs(ips...) {
		switch {
		case i == 0 && addr.Is4():
			nic.PrimaryIPv4 = addr
		case addr.Is4():
			nic.SecondaryIPv4 = append(nic.SecondaryIPv4, addr)
		default:
			nic.SecondaryIPv6 = append(nic.SecondaryIPv6, addr)
		}
	}
	return cloud.Instance{ID: id, Type: "m5.large", VPCID: "vpc-1", Interfaces: []v1alpha1.Interface{nic}}
}

func TestJoinFindsInstances(t *testing.T) {
	type nodes = []v1alpha1.Node
	tests := []struct {
		name      string
		nodes     nodes
		instances []cloud.Instance
		// want instance ids in the order of the nodes.
		want []string
	}{
		{"by providerID", nodes{{Name: "a", ProviderID: "aws:///eu-central-1a/i-1"}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.2")}, []string{"i-1"}},
		{"by providerID, whatever the address", nodes{{Name: "a", ProviderID: "aws:///eu-central-1a/i-1", InternalIPs: addrs("10.0.0.2")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.2")}, []string{"i-1"}},
		{"never by address when the providerID's instance is gone", nodes{{Name: "a", ProviderID: "aws:///eu-central-1a/i-9", InternalIPs: addrs("10.0.0.2")}},
			[]cloud.Instance{instance("i-2", "10.0.0.2")}, []string{""}},
		{"never by address when the providerID is no instance's", nodes{{Name: "a", ProviderID: "aws:///eu-central-1a/0a1b-2c3d/fargate-ip-10-0-0-2", InternalIPs: addrs("10.0.0.2")}},
			[]cloud.Instance{instance("i-2", "10.0.0.2")}, []string{""}},
		{"by address when the providerID is not of AWS", nodes{{Name: "a", ProviderID: "k3s://a", InternalIPs: addrs("10.0.0.2")}},
			[]cloud.Instance{instance("i-2", "10.0.0.2")}, []string{"i-2"}},
		{"by primary address", nodes{{Name: "a", InternalIPs: addrs("10.0.0.2")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.2")}, []string{"i-2"}},
		{"by IPv6 address", nodes{{Name: "a", InternalIPs: addrs("2001:db8::2")}},
			[]cloud.Instance{instance("i-1", "2001:db8::1"), instance("i-2", "2001:db8::2")}, []string{"i-2"}},
		{"by secondary address, where it is nobody's primary", nodes{{Name: "a", InternalIPs: addrs("10.0.0.9")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.2", "10.0.0.9")}, []string{"i-2"}},
		{"primary before secondary", nodes{{Name: "a", InternalIPs: addrs("10.0.0.9")}},
			[]cloud.Instance{instance("i-1", "10.0.0.9"), instance("i-2", "10.0.0.2", "10.0.0.9")}, []string{"i-1"}},
		{"an unknown second address does not matter", nodes{{Name: "a", InternalIPs: addrs("192.168.0.1", "10.0.0.1")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1")}, []string{"i-1"}},
		{"an address that two have is no proof", nodes{{Name: "a", InternalIPs: addrs("10.0.0.1")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.1")}, []string{""}},
		{"a second address settles it", nodes{{Name: "a", InternalIPs: addrs("10.0.0.1", "2001:db8::2")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.1", "2001:db8::2")}, []string{"i-2"}},
		{"addresses that contradict each other are no proof", nodes{{Name: "a", InternalIPs: addrs("10.0.0.1", "10.0.0.2")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1"), instance("i-2", "10.0.0.2")}, []string{""}},
		{"an instance is one node: none of two by address", nodes{{Name: "a", InternalIPs: addrs("10.0.0.1")}, {Name: "b", InternalIPs: addrs("10.0.0.1")}},
			[]cloud.Instance{instance("i-1", "10.0.0.1")}, []string{"", ""}},
		{"an instance is one node: providerID before address", nodes{{Name: "a", InternalIPs: addrs("10.0.0.1")}, {Name: "b", ProviderID: "aws:///z/i-1"}},
			[]cloud.Instance{instance("i-1", "10.0.0.1")}, []string{"", "i-1"}},
		{"an instance is one node: none of two by providerID", nodes{{Name: "a", ProviderID: "aws:///z/i-1"}, {Name: "b", ProviderID: "aws:///z/i-1"}},
			[]cloud.Instance{instance("i-1", "10.0.0.1")}, []string{"", ""}},
		{"without anything", nodes{{Name: "a"}}, []cloud.Instance{instance("i-1", "10.0.0.1")}, []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			inv := cloud.Join(tt.nodes, cloud.Snapshot{Instances: tt.instances})
			for _, node := range inv.Nodes {
				got = append(got, node.InstanceID)
				if (len(node.Interfaces) > 0) != (node.InstanceID != "") {
					t.Errorf("instance %q with interfaces %v", node.InstanceID, node.Interfaces)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestJoinKeepsAndSorts joins in any order to the same, keeps what nodes carry and drops what they do not use.
func TestJoinKeepsAndSorts(t *testing.T) {
	b := v1alpha1.Node{Name: "b", UID: "u-b", Labels: map[string]string{"k": "v"}, Kernel: "6.1.0", ProviderID: "aws:///z/i-2", InternalIPs: addrs("10.0.0.2"),
		InstanceID: "i-stale", Interfaces: []v1alpha1.Interface{{ID: "eni-stale"}}}
	a := v1alpha1.Node{Name: "a", ProviderID: "aws:///z/i-9", InstanceID: "i-stale", InstanceType: "m5.large", Interfaces: []v1alpha1.Interface{{ID: "eni-stale"}}}
	two := instance("i-2", "10.0.0.2")
	two.Interfaces = append(two.Interfaces, v1alpha1.Interface{ID: "eni-far", SubnetID: "subnet-far", NetworkCardIndex: 1}, v1alpha1.Interface{ID: "eni-x", SubnetID: "subnet-1", DeviceIndex: 1,
		SecondaryIPv4: addrs("10.0.0.9", "10.0.0.8"), SecurityGroups: []string{"sg-2", "sg-1"}})
	other := instance("i-3", "10.7.0.3")
	other.VPCID, other.Type, other.Interfaces[0].SubnetID = "vpc-other", "c5.large", "subnet-other"
	snap := cloud.Snapshot{
		Instances: []cloud.Instance{two, other},
		Subnets: []v1alpha1.Subnet{{ID: "subnet-other", VPCID: "vpc-other"}, {ID: "subnet-far", VPCID: "vpc-far"},
			{ID: "subnet-2", VPCID: "vpc-1"}, {ID: "subnet-1", VPCID: "vpc-1"}},
		VPCs:          []v1alpha1.VPC{{ID: "vpc-other"}, {ID: "vpc-far"}, {ID: "vpc-1"}},
		InstanceTypes: []v1alpha1.InstanceType{{Name: "m5.large"}, {Name: "c5.large"}},
	}
	want := v1alpha1.Inventory{
		Provider:      v1alpha1.ProviderAWS,
		VPCs:          []v1alpha1.VPC{{ID: "vpc-1"}, {ID: "vpc-far"}},
		Subnets:       []v1alpha1.Subnet{{ID: "subnet-1", VPCID: "vpc-1"}, {ID: "subnet-2", VPCID: "vpc-1"}, {ID: "subnet-far", VPCID: "vpc-far"}},
		InstanceTypes: []v1alpha1.InstanceType{{Name: "m5.large"}},
		Nodes: []v1alpha1.Node{
			{Name: "a", ProviderID: "aws:///z/i-9"},
			{Name: "b", UID: "u-b", Labels: map[string]string{"k": "v"}, Kernel: "6.1.0", ProviderID: "aws:///z/i-2", InternalIPs: addrs("10.0.0.2"),
				InstanceID: "i-2", InstanceType: "m5.large", Interfaces: []v1alpha1.Interface{
					{ID: "eni-2", SubnetID: "subnet-1", PrimaryIPv4: netip.MustParseAddr("10.0.0.2")},
					{ID: "eni-x", SubnetID: "subnet-1", DeviceIndex: 1, SecondaryIPv4: addrs("10.0.0.8", "10.0.0.9"), SecurityGroups: []string{"sg-1", "sg-2"}},
					{ID: "eni-far", SubnetID: "subnet-far", NetworkCardIndex: 1},
				}},
		},
	}
	want.APIVersion, want.Kind = "underlay.dev/v1alpha1", "Inventory"
	for _, nodes := range [][]v1alpha1.Node{{a, b}, {b, a}} {
		if diff := cmp.Diff(want, cloud.Join(nodes, snap), options()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if two.Interfaces[2].SecondaryIPv4[0] != netip.MustParseAddr("10.0.0.9") || b.InstanceID != "i-stale" {
		t.Error("Join changed its input")
	}
}

func TestJoinTellsOwnIPv6Address(t *testing.T) {
	const one, two, three = "2001:db8::1", "2001:db8::2", "2001:db8::3"
	tests := []struct {
		name          string
		internalIPs   []netip.Addr
		primary       string
		others        []netip.Addr
		wantPrimary   string
		wantSecondary []netip.Addr
	}{
		{"the one that the cloud calls primary", addrs("10.0.0.1", two), one, addrs(three, two), one, addrs(two, three)},
		{"the node's internalIP", addrs("10.0.0.1", two), "", addrs(three, two, one), two, addrs(one, three)},
		{"the first, which the host takes by DHCPv6", addrs("10.0.0.1"), "", addrs(three, two, one), three, addrs(one, two)},
		{"the only one", addrs("10.0.0.1"), "", addrs(two), two, nil},
		{"none", addrs("10.0.0.1"), "", nil, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := instance("i-1", "10.0.0.1")
			i.Interfaces[0].SecondaryIPv6 = tt.others
			i.Interfaces[0].PrimaryIPv6 = parse(tt.primary)
			inv := cloud.Join([]v1alpha1.Node{{Name: "a", InternalIPs: tt.internalIPs}}, cloud.Snapshot{Instances: []cloud.Instance{i}})
			got := inv.Nodes[0].Interfaces[0]
			if got.PrimaryIPv6 != parse(tt.wantPrimary) {
				t.Errorf("own %s, want %s", got.PrimaryIPv6, tt.wantPrimary)
			}
			if diff := cmp.Diff(tt.wantSecondary, got.SecondaryIPv6, options()); diff != "" {
				t.Errorf("for pods (-want +got):\n%s", diff)
			}
		})
	}
}

// parse gives the zero address for no text.
func parse(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s)
	return addr
}

func TestParseProviderID(t *testing.T) {
	tests := []struct {
		in   string
		want cloud.ProviderID
		ok   bool
	}{
		{"aws:///eu-central-1a/i-0a1b", cloud.ProviderID{Zone: "eu-central-1a", InstanceID: "i-0a1b"}, true},
		{"aws://eu-central-1a/i-0a1b", cloud.ProviderID{Zone: "eu-central-1a", InstanceID: "i-0a1b"}, true},
		{"aws:////i-0a1b", cloud.ProviderID{InstanceID: "i-0a1b"}, true},
		{"aws:///i-0a1b", cloud.ProviderID{InstanceID: "i-0a1b"}, true},
		{"aws://i-0a1b", cloud.ProviderID{InstanceID: "i-0a1b"}, true},
		{"i-0a1b", cloud.ProviderID{InstanceID: "i-0a1b"}, true},
		{"aws:///us-west-2c/0a1b/fargate-ip-10-0-0-1", cloud.ProviderID{Zone: "us-west-2c"}, true},
		{"aws:///eu-central-1a/i-", cloud.ProviderID{Zone: "eu-central-1a"}, true},
		{"aws://", cloud.ProviderID{}, true},
		{"eks-hybrid:///eu-central-1/c/mi-0a1b", cloud.ProviderID{}, false},
		{"k3s://i-am-a-name", cloud.ProviderID{}, false},
		{"gce://project/zone/name", cloud.ProviderID{}, false},
		{"", cloud.ProviderID{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, ok := cloud.ParseProviderID(tt.in)
			if ok != tt.ok || ok && got != tt.want {
				t.Errorf("got %+v %t, want %+v %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestWithReports(t *testing.T) {
	inv := v1alpha1.Inventory{Nodes: []v1alpha1.Node{
		{Name: "a", Interfaces: []v1alpha1.Interface{{ID: "eni-1", MACAddress: "02:00:00:00:00:0a"}, {ID: "eni-2", MACAddress: "02:00:00:00:00:0b", Name: "ens9", MTU: 1500}}},
		{Name: "b", Interfaces: []v1alpha1.Interface{{ID: "eni-3", MACAddress: "02:00:00:00:00:0a"}}},
	}}
	seen := v1alpha1.UnderlayNode{Status: v1alpha1.UnderlayNodeStatus{Links: []v1alpha1.NodeLink{{Name: "ens5", MACAddress: "02:00:00:00:00:0A", MTU: 9001}}}}
	seen.Name, seen.Status.Host = "a", &v1alpha1.NodeHost{KubeProxyMode: "nftables"}
	cloud.WithReports(&inv, []v1alpha1.UnderlayNode{seen})
	want := []v1alpha1.Node{
		{Name: "a", Host: &v1alpha1.NodeHost{KubeProxyMode: "nftables"}, Interfaces: []v1alpha1.Interface{{ID: "eni-1", MACAddress: "02:00:00:00:00:0a", Name: "ens5", MTU: 9001}, {ID: "eni-2", MACAddress: "02:00:00:00:00:0b", Name: "ens9", MTU: 1500}}},
		{Name: "b", Interfaces: []v1alpha1.Interface{{ID: "eni-3", MACAddress: "02:00:00:00:00:0a"}}},
	}
	if diff := cmp.Diff(want, inv.Nodes, options()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// options compare addresses by value, and take no list for an empty one.
func options() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmpopts.EquateEmpty(),
	}
}

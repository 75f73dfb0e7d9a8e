// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

func noDelay(int, error) (time.Duration, error) { return 0, nil }

// observe takes a snapshot of what the environment leads to.
func observe(t *testing.T, nodes []v1alpha1.Node) cloud.Snapshot {
	t.Helper()
	snap, err := aws.New(aws.Options{}).Snapshot(context.Background(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// TestRoundTrip serves the documentation's inventories as EC2 would, and observes them again.
func TestRoundTrip(t *testing.T) {
	for _, name := range []string{"walkthrough.yaml", "two-networks.yaml", "ipv6-only.yaml"} {
		for way, change := range map[string]func([]v1alpha1.Node) []v1alpha1.Node{
			"by providerID": slices.Clone[[]v1alpha1.Node],
			"by address":    anonymous,
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				want := example(t, name)
				want.Nodes = change(want.Nodes)
				simulate(t, want)
				nodes := asKubernetes(want.Nodes)
				got := cloud.Join(nodes, observe(t, nodes))
				cloud.WithReports(&got, asAgents(want.Nodes))
				if diff := cmp.Diff(want, got, options()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// distinct counts the calls of each action, and all of them. On a busy machine a connection may break in the middle of
// an answer; the SDK then repeats the very same call, and that does not count.
func distinct(calls []ec2sim.Call) (counts map[string]int, total int) {
	counts = map[string]int{}
	seen := map[string]bool{}
	for _, call := range calls {
		if params := call.Params.Encode(); !seen[params] {
			seen[params] = true
			counts[call.Action]++
			total++
		}
	}
	return counts, total
}

// TestCallsGrowWithPages counts the calls for many nodes.
func TestCallsGrowWithPages(t *testing.T) {
	stale := func(nodes []v1alpha1.Node) []v1alpha1.Node {
		for i := range nodes {
			if i%2 == 1 {
				nodes[i].ProviderID = fmt.Sprintf("aws:///eu-central-1a/i-gone%d", i)
			}
		}
		return nodes
	}
	foreign := func(nodes []v1alpha1.Node) []v1alpha1.Node {
		for i := range nodes {
			nodes[i].ProviderID = ""
			if i > 0 {
				nodes[i].InternalIPs = []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(i / 256), byte(i % 256)})}
			}
		}
		return nodes
	}
	all := func(int) bool { return true }
	describes := func(instances, interfaces int) map[string]int {
		return map[string]int{"DescribeInstances": instances, "DescribeNetworkInterfaces": interfaces, "DescribeSubnets": 1, "DescribeVpcs": 1, "DescribeInstanceTypes": 1}
	}
	tests := []struct {
		name   string
		nodes  int
		change func([]v1alpha1.Node) []v1alpha1.Node
		// finds says which nodes are found.
		finds func(i int) bool
		// want calls: one probe, and a page for each 1,000.
		want map[string]int
	}{
		{"2 nodes", 2, slices.Clone[[]v1alpha1.Node], all, describes(1, 2)},
		{"1,000 nodes by providerID", 1000, slices.Clone[[]v1alpha1.Node], all, describes(1, 1+2)},
		{"1,000 nodes by address", 1000, anonymous, all, describes(1, 1+2)},
		{"2,500 nodes by providerID", 2500, slices.Clone[[]v1alpha1.Node], all, describes(3, 1+5)},
		{"2,500 nodes by address", 2500, anonymous, all, describes(3, 1+5)},
		// What is not found is asked for 190 to a call: here 500 stale ones, of which the first call has half of its 190.
		{"1,000 nodes, half of them stale", 1000, stale, func(i int) bool { return i%2 == 0 }, describes(1, 2+1+3)},
		// Here all but one.
		{"1,000 nodes of another network", 1000, foreign, func(i int) bool { return i == 0 }, describes(1, 2+6)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := fleet(tt.nodes)
			server := simulate(t, inv)
			t.Setenv("AWS_REGION", "eu-central-1")
			nodes := tt.change(asKubernetes(inv.Nodes))
			found := observe(t, nodes)
			counts, total := distinct(server.Calls())
			if diff := cmp.Diff(tt.want, counts); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if tt.nodes <= 1000 && total > 20 {
				t.Errorf("%d calls", total)
			}
			if len(found.Instances) != tt.nodes || len(found.Subnets) != 20 {
				t.Errorf("found %d instances and %d subnets", len(found.Instances), len(found.Subnets))
			}
			var want, got int
			for i, node := range cloud.Join(nodes, found).Nodes {
				if tt.finds(i) {
					want++
				}
				if node.InstanceID == inv.Nodes[i].InstanceID && len(node.Interfaces) == 2 {
					got++
				}
			}
			if got != want {
				t.Errorf("%d nodes have their instance, want %d", got, want)
			}
		})
	}
}

// twoVPCs have the same networks, and the nodes' addresses in both. The first half of the nodes is in vpc-1.
func twoVPCs(nodes int) v1alpha1.Inventory {
	inv := v1alpha1.Inventory{
		VPCs:    []v1alpha1.VPC{{ID: "vpc-1"}, {ID: "vpc-2"}, {ID: "vpc-3"}},
		Subnets: []v1alpha1.Subnet{{ID: "subnet-1", VPCID: "vpc-1"}, {ID: "subnet-2", VPCID: "vpc-2"}, {ID: "subnet-3", VPCID: "vpc-3"}},
	}
	for i := range nodes {
		vpc := 1 + 2*i/nodes
		inv.Nodes = append(inv.Nodes, v1alpha1.Node{
			Name: fmt.Sprintf("n%03d", i), InstanceID: fmt.Sprintf("i-%03d", i), InstanceType: "m5.large",
			ProviderID:  fmt.Sprintf("aws:///eu-central-1a/i-%03d", i),
			InternalIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(vpc), byte(i)})},
			Interfaces: []v1alpha1.Interface{{
				ID: fmt.Sprintf("eni-%03d", i), MACAddress: fmt.Sprintf("02:00:00:00:00:%02x", i%256), SubnetID: fmt.Sprintf("subnet-%d", vpc),
				PrimaryIPv4: netip.AddrFrom4([4]byte{10, 0, byte(vpc), byte(i)}),
			}},
		})
	}
	return inv
}

func instanceIDs(inv v1alpha1.Inventory) []string {
	var out []string
	for _, node := range inv.Nodes {
		out = append(out, node.InstanceID)
	}
	return out
}

func TestSeveralVPCs(t *testing.T) {
	// bystander is an instance of nobody's cluster in vpc-3, with the address of the node.
	bystander := func(inv *v1alpha1.Inventory, node int) {
		id := fmt.Sprintf("bystander%d", node)
		inv.Nodes = append(inv.Nodes, v1alpha1.Node{Name: id, InstanceID: "i-" + id, Interfaces: []v1alpha1.Interface{{
			ID: "eni-" + id, MACAddress: "02:00:00:00:01:00", SubnetID: "subnet-3", PrimaryIPv4: inv.Nodes[node].InternalIPs[0]}}})
	}
	tests := []struct {
		name string
		// nodes of the cluster, over two VPCs.
		nodes  int
		change func(inv *v1alpha1.Inventory)
		// vpcs that are kept, and the nodes that are found, by default all.
		vpcs []string
		want []string
	}{
		{"by providerID", 4, func(*v1alpha1.Inventory) {}, []string{"vpc-1", "vpc-2"}, []string{"i-000", "i-001", "i-002", "i-003"}},
		{"by address", 4, func(inv *v1alpha1.Inventory) { inv.Nodes = anonymous(inv.Nodes) }, []string{"vpc-1", "vpc-2"}, []string{"i-000", "i-001", "i-002", "i-003"}},
		{"a bystander has a node's address: the VPC with most nodes counts", 6, func(inv *v1alpha1.Inventory) {
			inv.Nodes = anonymous(inv.Nodes)
			bystander(inv, 0)
		}, []string{"vpc-1", "vpc-2"}, []string{"i-000", "i-001", "i-002", "i-003", "i-004", "i-005"}},
		{"bystanders have all addresses of a VPC's nodes: neither counts", 4, func(inv *v1alpha1.Inventory) {
			inv.Nodes = anonymous(inv.Nodes)
			bystander(inv, 0)
			bystander(inv, 1)
		}, []string{"vpc-2"}, []string{"", "", "i-002", "i-003"}},
		{"one providerID settles it", 4, func(inv *v1alpha1.Inventory) {
			first := inv.Nodes[0].ProviderID
			inv.Nodes = anonymous(inv.Nodes)
			inv.Nodes[0].ProviderID = first
			bystander(inv, 0)
			bystander(inv, 1)
		}, []string{"vpc-1", "vpc-2"}, []string{"i-000", "i-001", "i-002", "i-003"}},
		{"the second VPC's nodes are not in the first probe", 240, func(inv *v1alpha1.Inventory) {
			for i := range 220 {
				inv.Nodes[i].Interfaces[0].SubnetID = "subnet-1"
			}
		}, []string{"vpc-1", "vpc-2"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := twoVPCs(tt.nodes)
			if tt.want == nil {
				tt.want = instanceIDs(inv)
			}
			tt.change(&inv)
			simulate(t, inv)
			t.Setenv("AWS_REGION", "eu-central-1")
			nodes := asKubernetes(inv.Nodes[:tt.nodes])
			got := cloud.Join(nodes, observe(t, nodes))
			if diff := cmp.Diff(tt.want, instanceIDs(got)); diff != "" {
				t.Errorf("instances (-want +got):\n%s", diff)
			}
			var vpcs []string
			for _, vpc := range got.VPCs {
				vpcs = append(vpcs, vpc.ID)
			}
			if diff := cmp.Diff(tt.vpcs, vpcs); diff != "" {
				t.Errorf("VPCs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOddInterfaces has interfaces of load balancers, ones that come and go, ones without addresses and one in another
// VPC, and instances that are on their way out.
func TestOddInterfaces(t *testing.T) {
	inv := twoVPCs(4)
	server := simulate(t, inv)
	add := func(w *ec2sim.World, id, subnet string, change func(*ec2sim.NetworkInterface)) {
		nic := ec2sim.NetworkInterface{Interface: v1alpha1.Interface{ID: id, SubnetID: subnet, MACAddress: "02:00:00:00:09:00", DeviceIndex: 1}, InstanceID: "i-000"}
		change(&nic)
		if err := w.AddInterface(nic); err != nil {
			t.Error(err)
		}
	}
	err := server.Update(func(w *ec2sim.World) error {
		add(w, "eni-elb", "subnet-1", func(n *ec2sim.NetworkInterface) {
			n.InstanceID, n.Owner, n.AttachmentStatus = "", "amazon-elb", "attached"
		})
		add(w, "eni-free", "subnet-1", func(n *ec2sim.NetworkInterface) { n.InstanceID = "" })
		add(w, "eni-going", "subnet-1", func(n *ec2sim.NetworkInterface) { n.AttachmentStatus = "detaching" })
		add(w, "eni-rdma", "subnet-1", func(n *ec2sim.NetworkInterface) { n.Type, n.NetworkCardIndex = "efa-only", 1 })
		add(w, "eni-efa", "subnet-1", func(n *ec2sim.NetworkInterface) { n.Type, n.NetworkCardIndex = "efa", 2 })
		add(w, "eni-afar", "subnet-3", func(*ec2sim.NetworkInterface) {})
		w.Instances["i-001"].State = "terminated"
		w.Instances["i-002"].State = "stopping"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	nodes := asKubernetes(inv.Nodes[:3])
	got := cloud.Join(nodes, observe(t, nodes))
	if diff := cmp.Diff([]string{"i-000", "", "i-002"}, instanceIDs(got)); diff != "" {
		t.Errorf("instances (-want +got):\n%s", diff)
	}
	var interfaces []string
	for _, nic := range got.Nodes[0].Interfaces {
		interfaces = append(interfaces, fmt.Sprintf("%s %d-%d", nic.ID, nic.NetworkCardIndex, nic.DeviceIndex))
	}
	if diff := cmp.Diff([]string{"eni-000 0-0", "eni-afar 0-1", "eni-efa 2-1"}, interfaces); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
	if len(got.VPCs) != 3 || len(got.Subnets) != 3 {
		t.Errorf("VPCs %v, subnets %v", got.VPCs, got.Subnets)
	}
}

// TestPrimaryIPv6Flag: what EC2 flags as primary comes ahead of the node's internalIP.
func TestPrimaryIPv6Flag(t *testing.T) {
	inv := example(t, "ipv6-only.yaml")
	server := simulate(t, inv)
	flagged := inv.Nodes[1].Interfaces[0].SecondaryIPv6[0]
	err := server.Update(func(w *ec2sim.World) error {
		nic := w.Interfaces[inv.Nodes[1].Interfaces[0].ID]
		nic.SecondaryIPv6[0] = nic.PrimaryIPv6
		nic.PrimaryIPv6, nic.FlagPrimaryIPv6 = flagged, true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	nodes := asKubernetes(inv.Nodes)
	if got := cloud.Join(nodes, observe(t, nodes)).Nodes[1].Interfaces[0].PrimaryIPv6; got != flagged {
		t.Errorf("primary %s, want %s", got, flagged)
	}
}

// TestMultiCardType takes the limit of the default card, not that of all.
func TestMultiCardType(t *testing.T) {
	inv := twoVPCs(2)
	inv.Nodes[0].InstanceType = "p5.48xlarge"
	simulate(t, inv)
	nodes := asKubernetes(inv.Nodes)
	types := cloud.Join(nodes, observe(t, nodes)).InstanceTypes
	want := []v1alpha1.InstanceType{
		{Name: "m5.large", Hypervisor: "nitro", MaximumInterfaces: 3, IPv4PerInterface: 10, IPv6PerInterface: 10},
		{Name: "p5.48xlarge", Hypervisor: "nitro", MaximumInterfaces: 2, IPv4PerInterface: 50, IPv6PerInterface: 50},
	}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNoNodes makes no call.
func TestNoNodes(t *testing.T) {
	server := simulate(t, v1alpha1.Inventory{})
	observe(t, nil)
	if n := len(server.Calls()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestProviderIsKept takes two snapshots by the same provider, at once.
func TestProviderIsKept(t *testing.T) {
	inv := example(t, "walkthrough.yaml")
	simulate(t, inv)
	provider := aws.New(aws.Options{})
	snaps := make(chan cloud.Snapshot)
	for range 2 {
		go func() {
			snap, err := provider.Snapshot(context.Background(), asKubernetes(inv.Nodes))
			if err != nil {
				t.Error(err)
			}
			snaps <- snap
		}()
	}
	if diff := cmp.Diff(<-snaps, <-snaps, options()); diff != "" {
		t.Error(diff)
	}
}

// TestRegion looks which region requests are signed for.
func TestRegion(t *testing.T) {
	tests := []struct {
		name, option, environment string
		change                    func(*v1alpha1.Node)
		want                      string
	}{
		{"the option's", "eu-west-1", "eu-west-2", func(*v1alpha1.Node) {}, "eu-west-1"},
		{"the environment's", "", "eu-west-2", func(*v1alpha1.Node) {}, "eu-west-2"},
		{"that of the zone label", "", "", func(n *v1alpha1.Node) { n.ProviderID = "" }, "ap-southeast-1"},
		{"that of the region label", "", "", func(n *v1alpha1.Node) {
			n.Labels = map[string]string{"topology.kubernetes.io/region": "eu-west-3"}
		}, "eu-west-3"},
		{"that of the providerID", "", "", func(n *v1alpha1.Node) { n.Labels = nil }, "ap-southeast-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := example(t, "walkthrough.yaml")
			server := simulate(t, inv)
			t.Setenv("AWS_REGION", tt.environment)
			nodes := asKubernetes(inv.Nodes)
			for i := range nodes {
				tt.change(&nodes[i])
			}
			if _, err := aws.New(aws.Options{Region: tt.option}).Snapshot(context.Background(), nodes); err != nil {
				t.Fatal(err)
			}
			for _, call := range server.Calls() {
				if call.Region != tt.want {
					t.Errorf("%s is signed for %s, want %s", call.Action, call.Region, tt.want)
				}
			}
		})
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package firstpacket

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/operator/agent"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

const walkthrough = "../../docs/examples/walkthrough.yaml"

// TestFromInventoryToPing is the shortest true path, as the package says.
func TestFromInventoryToPing(t *testing.T) {
	vm.NeedRoot(t)
	kit := vm.ForTest(t)

	inventory, err := document.OpenInventory(walkthrough)
	if err != nil {
		t.Fatal(err)
	}
	planned, findings := plan.For(plan.Inputs{Inventory: inventory, Propose: true})
	for _, f := range findings {
		t.Logf("finding: %s %s: %s", f.ID, f.Object, f.Message)
	}
	t.Logf("%s gives %s, %s and %s", filepath.Base(walkthrough), plan.Count(len(planned.Networks), "network"),
		plan.Count(len(planned.Pools), "pool"), plan.Count(len(planned.Attachments), "attachment"))

	vpc := newVPC(t, inventory)
	var nodes []*node
	var configs []vm.Config
	for _, n := range inventory.Nodes {
		folder := share(t, n, planned)
		nodes = append(nodes, &node{name: n.Name, primary: n.Interfaces[0].PrimaryIPv4})
		configs = append(configs, vm.Config{
			MemoryMiB: 512,
			NICs:      []vm.NIC{attach(t, vpc, n)},
			Shares:    []vm.Share{{Host: folder, Guest: guestShare}},
		})
	}
	t.Logf("booting %s", plan.Count(len(nodes), "machine"))
	for i, machine := range vm.BootAllForTest(t, kit, configs...) {
		nodes[i].VM = machine
		nodes[i].configure(t, &inventory, i)
	}
	for _, n := range nodes {
		n.addPod(t, planned.Attachments[0])
	}

	before := drops(t, vpc)
	master, worker := nodes[0], nodes[1]
	for i := range master.pod {
		master.ping(t, "the other pod, across subnets", worker.pod[i])
		worker.ping(t, "the other pod, across subnets", master.pod[i])
	}
	for _, pair := range [][2]*node{{master, worker}, {worker, master}} {
		pair[0].ping(t, "its own host", pair[0].primary)
		pair[0].ping(t, "the other host", pair[1].primary)
	}
	if diff := cmp.Diff(before, drops(t, vpc)); diff != "" {
		t.Errorf("the VPC dropped frames meanwhile (-before +after):\n%s", diff)
	}

	for _, n := range nodes {
		n.deletePod(t, planned.Attachments[0])
	}
}

// newVPC has the subnets of the inventory.
func newVPC(t *testing.T, inventory v1alpha1.Inventory) *fabric.Fabric {
	t.Helper()
	var subnets []fabric.Subnet
	for _, s := range inventory.Subnets {
		subnets = append(subnets, fabric.Subnet{Name: s.ID, IPv4: s.CIDR, IPv6: s.IPv6CIDR})
	}
	vpc, err := fabric.New(subnets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := vpc.Close(); err != nil {
			t.Error(err)
		}
	})
	return vpc
}

// attach gives the node's interface to a machine, with what the inventory says of it.
func attach(t *testing.T, vpc *fabric.Fabric, n v1alpha1.Node) vm.NIC {
	t.Helper()
	nic := n.Interfaces[0]
	mac, err := net.ParseMAC(nic.MACAddress)
	if err != nil {
		t.Fatal(err)
	}
	bound := append([]netip.Prefix{netip.PrefixFrom(nic.PrimaryIPv4, 32)}, nic.IPv4Prefixes...)
	tap, err := vpc.AttachTap(fabric.ENI{Name: nic.ID, Subnet: nic.SubnetID, MAC: mac, Bound: append(bound, nic.IPv6Prefixes...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tap.Close() })
	return vm.NIC{Tap: tap, MAC: mac, MTU: fabric.MTU}
}

// The share that a node sees, and what is in it.
const (
	guestShare   = "/share"
	pluginFile   = "underlay"
	nodeFile     = "node.json"
	configFormat = "%s.conf" // for an attachment's name
)

// share makes the folder with all that the node gets: the CNI binary, its node file, and the attachments' configurations, which Multus hands over.
func share(t *testing.T, n v1alpha1.Node, planned plan.Plan) string {
	t.Helper()
	folder := t.TempDir()
	if err := vm.Compile(t.Context(), "../..", "build", "-ldflags=-s -w", "-o", filepath.Join(folder, pluginFile), "./cmd/underlay"); err != nil {
		t.Fatal(err)
	}
	file, problems := agent.NodeFile(agent.Inputs{
		Writer:   "firstpacket",
		Node:     nodefile.Node{Name: n.Name, UID: string(n.UID), ProviderID: n.ProviderID, Addresses: n.InternalIPs},
		Networks: planned.Networks,
		Pools:    planned.Pools,
	})
	for _, p := range problems {
		t.Error(p)
	}
	if err := nodefile.Write(filepath.Join(folder, nodeFile), &file); err != nil {
		t.Fatal(err)
	}
	for _, a := range planned.Attachments {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf(configFormat, a.Name)), []byte(a.Config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range file.Pools {
		t.Logf("node file of %s: pool %s with %v", n.Name, p.Name, p.Ranges.Strings())
	}
	return folder
}

func drops(t *testing.T, vpc *fabric.Fabric) map[fabric.Reason]uint64 {
	t.Helper()
	counted, err := vpc.Drops()
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []fabric.Reason{fabric.UnspecifiedSource, fabric.LinkLocalSource, fabric.Multicast} {
		delete(counted, reason) // what kernels send by themselves
	}
	return counted
}

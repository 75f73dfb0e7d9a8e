// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

func TestNothingToSay(t *testing.T) {
	running := fine()
	running.install()
	for _, s := range []*situation{{inv: fine().inv}, fine(), running} {
		if got := s.findings(); len(got) > 0 {
			t.Errorf("findings: %+v", got)
		}
	}
}

// checkCase is a situation that calls for a finding, and one close to it that does not.
type checkCase struct {
	id string
	// bad must give the finding, about the object, saying this; good must not.
	bad, good    func(*situation)
	severity     plan.Severity
	object, says string
}

func planCases() []checkCase {
	return []checkCase{
		{
			id:       plan.IDAddressOnTwoInterfaces,
			bad:      func(s *situation) { s.nic(0).IPv4Prefixes = s.nic(1).IPv4Prefixes },
			good:     func(s *situation) { s.nic(0).IPv4Prefixes = prefixes("10.0.1.80/28") },
			severity: plan.Error, object: "interface/eni-0001-0 (node-0001)", says: "prefix 10.0.1.64/28 is also on",
		},
		{
			id:       plan.IDAddressOutsideSubnet,
			bad:      func(s *situation) { s.nic(0).SecondaryIPv4 = []netip.Addr{netip.MustParseAddr("10.9.0.7")} },
			good:     func(s *situation) { s.nic(0).SecondaryIPv4 = []netip.Addr{netip.MustParseAddr("10.0.0.7")} },
			severity: plan.Error, object: "interface/eni-0000-0 (node-0000)", says: "10.9.0.7 is outside",
		},
		{
			id: plan.IDAttachmentShared,
			bad: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("a", nil), network("b", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.Attachment = &v1alpha1.AttachmentReference{Name: "ipvlan-a"}
				})}
			},
			good: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("a", nil), network("b", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.Attachment = &v1alpha1.AttachmentReference{Namespace: "default", Name: "ipvlan-a"}
				})}
			},
			severity: plan.Error, object: "network/b", says: "kube-system/ipvlan-a belongs to network a",
		},
		{
			id: plan.IDDefaultNetworkTwice,
			bad: func(s *situation) {
				both := func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true }
				s.networks = []v1alpha1.UnderlayNetwork{network("a", both), network("b", both)}
			},
			good: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("a", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.Default, n.NodeSelector = true, &metav1.LabelSelector{MatchLabels: map[string]string{"parity": "odd"}}
				}), network("b", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.Default, n.NodeSelector = true, &metav1.LabelSelector{MatchLabels: map[string]string{"parity": "even"}}
				}), network("c", func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true })}
				s.networks[2].DeletionTimestamp = &metav1.Time{}
			},
			severity: plan.Error, object: "network/b", says: "network a is the default already on 2 nodes",
		},
		{
			id:       plan.IDDuplicateInInventory,
			bad:      func(s *situation) { s.inv.Nodes = append(s.inv.Nodes, s.inv.Nodes[0]) },
			good:     func(s *situation) { s.inv.Subnets = append(s.inv.Subnets, s.inv.Subnets[0]) },
			severity: plan.Error, object: "node/node-0000", says: "more than once",
		},
		{
			id:       idInstanceNotFound,
			bad:      func(s *situation) { s.inv.Nodes[0].Interfaces, s.inv.Nodes[0].InstanceID = nil, "" },
			good:     func(s *situation) { s.inv.Nodes[0].InstanceID = "" },
			severity: plan.Error, object: "node/node-0000", says: "EC2 has no running i-0000",
		},
		{
			id:  plan.IDInterfaceOwnedByOtherIPAM,
			bad: func(s *situation) { s.inv.OtherIPAM = []v1alpha1.OtherIPAM{v1alpha1.CiliumENI} },
			good: func(s *situation) {
				s.inv.OtherIPAM = []v1alpha1.OtherIPAM{v1alpha1.CiliumENI}
				s.nic(0).Tags = map[string]string{v1alpha1.NoManageTag: "true"}
				s.nic(1).Tags = s.nic(0).Tags
			},
			severity: plan.Info, object: "interface/eni-0000-0 (node-0000)", says: "Cilium in ENI mode hands out",
		},
		{
			id:       plan.IDInterfaceShared,
			bad:      func(s *situation) { s.networks = []v1alpha1.UnderlayNetwork{network("a", nil), network("b", nil)} },
			good:     func(s *situation) { s.networks = []v1alpha1.UnderlayNetwork{network("a", nil)} },
			severity: plan.Warning, object: "network/b", says: "network a came first and has the addresses of 2 interfaces",
		},
		{
			id:       plan.IDInterfaceWithoutAddresses,
			bad:      func(s *situation) { s.nic(0).IPv4Prefixes, s.nic(0).IPv6Prefixes = nil, nil },
			good:     func(s *situation) { s.nic(0).IPv4Prefixes = nil },
			severity: plan.Warning, object: "network/ens5", says: "1 of 2 chosen interfaces has no address",
		},
		{
			id:       idKernelTooOld,
			bad:      func(s *situation) { s.inv.Nodes[1].Kernel = "4.1.52-generic" },
			good:     func(s *situation) { s.inv.Nodes[1].Kernel = "4.2.0" },
			severity: plan.Error, object: "node/node-0001", says: "kernel 4.1.52-generic is older than 4.2",
		},
		{
			id:  idKernelTooOld,
			bad: func(s *situation) { s.inv.Nodes[1].Kernel = "3.10.0-1160.el7.x86_64" },
			good: func(s *situation) {
				s.inv.Nodes[1].Kernel, s.inv.Nodes[1].Labels["kubernetes.io/os"] = "3.0", "windows"
			},
			severity: plan.Error, object: "node/node-0001", says: "kernel 3.10.0-1160.el7.x86_64",
		},
		{
			id:       idKernelUnknown,
			bad:      func(s *situation) { s.inv.Nodes[1].Kernel = "" },
			good:     func(s *situation) { s.inv.Nodes[1].Kernel = "10.2+" },
			severity: plan.Info, object: "node/node-0001", says: "is unknown",
		},
		{
			id:       idKernelUnknown,
			bad:      func(s *situation) { s.inv.Nodes[1].Kernel = "linux-next" },
			good:     func(s *situation) { s.inv.Nodes[1].Kernel = "4.19-rt" },
			severity: plan.Info, object: "node/node-0001", says: `"linux-next" cannot be read`,
		},
		{
			id:       idKubernetesTooOld,
			bad:      func(s *situation) { s.cluster.ServerVersion = "v1.31.9-eks-1" },
			good:     func(s *situation) { s.cluster.ServerVersion = "v1.32.0+k3s1" },
			severity: plan.Error, object: "cluster", says: "v1.31.9-eks-1",
		},
		{
			id:       idMultusCRDMissing,
			bad:      func(s *situation) { s.cluster.MultusCRD = false },
			good:     func(s *situation) { s.cluster = nil },
			severity: plan.Error, object: "cluster", says: "so 1 attachment cannot be made",
		},
		{
			id: idMultusCRDMissing,
			bad: func(s *situation) {
				s.cluster.MultusCRD = false
				s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true })}
			},
			good: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true })}
			},
			severity: plan.Info, object: "cluster", says: "addresses of the default network main",
		},
		{
			id:       plan.IDNetworkInvalid,
			bad:      func(s *situation) { s.networks = []v1alpha1.UnderlayNetwork{network("A", nil)} },
			good:     func(s *situation) { s.networks = []v1alpha1.UnderlayNetwork{network("a", nil)} },
			severity: plan.Error, object: "network/A", says: "must be a DNS label",
		},
		{
			id: plan.IDNetworkWithoutNodes,
			bad: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("a", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"parity": "none"}}
				})}
			},
			good: func(s *situation) {
				s.networks = []v1alpha1.UnderlayNetwork{network("a", func(n *v1alpha1.UnderlayNetworkSpec) {
					n.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"parity": "odd"}}
				})}
			},
			severity: plan.Warning, object: "network/a", says: "no node matches",
		},
		{
			id:       idNodeNotInInventory,
			bad:      func(s *situation) { s.cluster.Nodes = []v1alpha1.Node{{Name: "new"}} },
			good:     func(s *situation) { s.cluster.Nodes = []v1alpha1.Node{{Name: "node-0000"}} },
			severity: plan.Warning, object: "node/new", says: "nothing is planned for it",
		},
		{
			id:       plan.IDNodeWithoutInterface,
			bad:      func(s *situation) { s.nic(0).DeviceIndex = 1 },
			good:     func(s *situation) { s.inv.Nodes = s.inv.Nodes[:1] },
			severity: plan.Info, object: "network/ens5", says: "1 of 2 selected nodes has no interface with device index 0",
		},
		{
			id: plan.IDNothingToPropose,
			bad: func(s *situation) {
				s.inv = plantest.Inventory(plantest.Uniform(2, plantest.Node{{}}))
			},
			good: func(s *situation) {
				s.inv = plantest.Inventory(plantest.Uniform(2, plantest.Node{{Secondaries6: 1}}))
			},
			severity: plan.Warning, object: "inventory", says: "none of 2 interfaces on 2 nodes",
		},
		{
			id: IDPermissionMissing,
			bad: func(s *situation) {
				s.unread = []*cloud.Error{{Reason: cloud.Unauthorized, Action: "ec2:DescribeRouteTables", Message: "me lacks the permission", Remedy: "add it"}}
			},
			good:     func(*situation) {},
			severity: plan.Warning, object: "permission/ec2:DescribeRouteTables", says: "me lacks the permission",
		},
		{
			id: idPoolOverlap,
			bad: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("mine", "manual", "10.0.0.60-10.0.0.70")}
			},
			good: func(s *situation) {
				p := s.existing("mine", "manual", "10.0.0.64-10.0.0.70")
				p.Spec.Exclude = p.Spec.Ranges
				s.cluster.Pools = []v1alpha1.UnderlayPool{p}
			},
			severity: plan.Error, object: "pool/mine", says: "7 addresses in common with pool ens5.0.v4.node-0000 of network ens5: 10.0.0.64-10.0.0.70",
		},
		{
			id: idPoolOverlap, // two that exist beside the plan
			bad: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("b", "manual", "10.0.0.32/28"), s.existing("a", "other", "10.0.0.0/24")}
			},
			good: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("b", "manual", "10.0.0.32/28"), s.existing("a", "other", "10.0.0.0/27")}
			},
			severity: plan.Error, object: "pool/b", says: "16 addresses in common with pool a of network other: 10.0.0.32/28",
		},
		{
			id: idPoolOverlap, // a derived pool that is no longer planned stays while pods hold its addresses
			bad: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("ens5.7.v4.node-0000", "ens5", "10.0.0.64/28")}
				s.cluster.Pools[0].Status.Allocated = 1
			},
			good: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("ens5.7.v4.node-0000", "ens5", "10.0.0.64/28"),
					s.existing("ens5.0.v4.node-0000", "ens5", "10.0.0.64/28")}
			},
			severity: plan.Error, object: "pool/ens5.7.v4.node-0000", says: "16 addresses in common with pool ens5.0.v4.node-0000",
		},
		{
			id:       idPrefixNeedsNitro,
			bad:      func(s *situation) { s.inv.Nodes[0].InstanceType = "m4.large" },
			good:     func(s *situation) { s.inv.Nodes[0].InstanceType = "i3.metal" },
			severity: plan.Error, object: "node/node-0000", says: "has 2 prefixes on the node's interfaces, but its type m4.large runs on Xen",
		},
		{
			id: idPrefixNeedsNitro, // what EC2 says counts more than the list
			bad: func(s *situation) {
				s.inv.InstanceTypes[0].Hypervisor = "xen"
			},
			good: func(s *situation) {
				s.inv.InstanceTypes = append(s.inv.InstanceTypes, v1alpha1.InstanceType{Name: "m4.new", Hypervisor: "nitro"})
				s.inv.Nodes[0].InstanceType = "m4.new"
			},
			severity: plan.Error, object: "node/node-0000", says: "m6i.32xlarge runs on Xen",
		},
		{
			id: idPrefixNeedsNitro,
			bad: func(s *situation) {
				s.inv.Nodes[0].InstanceType = "t2.small"
				s.nic(0).IPv4Prefixes, s.nic(0).IPv6Prefixes = nil, nil
			},
			good: func(s *situation) {
				s.inv.Nodes[0].InstanceType = "t2.small"
				s.nic(0).IPv4Prefixes, s.nic(0).IPv6Prefixes = nil, nil
				s.nic(0).SecondaryIPv4 = []netip.Addr{netip.MustParseAddr("10.0.0.7")}
			},
			severity: plan.Warning, object: "node/node-0000", says: "only secondary addresses are possible",
		},
		{
			id: idPrefixNotOnInterface,
			bad: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("ens5.0.v4.node-0000", "ens5", "10.0.0.64/28", "10.0.0.80/28")}
			},
			good: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("ens5.0.v4.node-0000", "ens5", "10.0.0.66-10.0.0.70")}
			},
			severity: plan.Error, object: "pool/ens5.0.v4.node-0000", says: "16 addresses of the pool are not bound to its interface eni-0000-0: 10.0.0.80/28",
		},
		{
			id: idPrefixNotOnInterface,
			bad: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("mine", "manual", "10.0.0.33")}
				s.cluster.Pools[0].Spec.Interface.MACAddress = "02:ff:00:00:00:00"
			},
			good: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("mine", "manual", "10.0.0.33")}
				s.cluster.Pools[0].Spec.NodeName = "gone"
			},
			severity: plan.Error, object: "pool/mine", says: "node node-0000 has no interface with the MAC address 02:ff:00:00:00:00",
		},
		{
			id:       plan.IDPrefixOutsideSubnet,
			bad:      func(s *situation) { s.nic(0).IPv4Prefixes = prefixes("10.9.0.0/28") },
			good:     func(s *situation) { s.nic(0).IPv4Prefixes = prefixes("10.0.0.96/28") },
			severity: plan.Error, object: "interface/eni-0000-0 (node-0000)", says: "prefix 10.9.0.0/28 is outside the interface's subnet",
		},
		{
			id:       idProviderIDMissing,
			bad:      func(s *situation) { s.inv.Nodes[1].ProviderID = "" },
			good:     func(s *situation) { s.inv.Nodes[1].ProviderID, s.inv.Provider = "", v1alpha1.ProviderManual },
			severity: plan.Warning, object: "node/node-0001", says: "has no providerID",
		},
		{
			id:       idProviderIDMissing,
			bad:      func(s *situation) { s.inv.Nodes[1].ProviderID = "k3s://node-0001" },
			good:     func(s *situation) { s.inv.Nodes[1].ProviderID = "aws:///i-0001" },
			severity: plan.Warning, object: "node/node-0001", says: "k3s://node-0001 is not of AWS",
		},
		{
			id:       plan.IDSubnetWithoutFamily,
			bad:      func(s *situation) { s.inv.Subnets[0].IPv6CIDR = netip.Prefix{} },
			good:     func(s *situation) { s.inv.Subnets[1].IPv6CIDR = netip.Prefix{} },
			severity: plan.Error, object: "interface/eni-0001-0 (node-0001)", says: "subnet-00-0 has no IPv6 network",
		},
		{
			id: plan.IDTooManyRanges,
			bad: func(s *situation) {
				for i := range 200 {
					s.nic(0).SecondaryIPv4 = append(s.nic(0).SecondaryIPv4, netip.AddrFrom4([4]byte{10, 0, 9 + byte(i/100), byte(i % 100 * 2)}))
				}
			},
			good: func(s *situation) {
				for i := range 200 {
					s.nic(0).SecondaryIPv4 = append(s.nic(0).SecondaryIPv4, netip.AddrFrom4([4]byte{10, 0, 9, byte(i)}))
				}
			},
			severity: plan.Warning, object: "interface/eni-0000-0 (node-0000)", says: "201 IPv4 ranges",
		},
		{
			id:       plan.IDUnknownSubnet,
			bad:      func(s *situation) { s.nic(1).SubnetID = "subnet-x" },
			good:     func(s *situation) { s.inv.Nodes[1].Interfaces = nil },
			severity: plan.Error, object: "interface/eni-0001-0 (node-0001)", says: "subnet-x is not in the inventory",
		},
	}
}

// TestChecks has a case for each id.
func TestChecks(t *testing.T) {
	tested := map[string]bool{}
	for _, tt := range cases() {
		tested[tt.id] = true
		t.Run(tt.id, func(t *testing.T) {
			bad, good := fine(), fine()
			tt.bad(bad)
			tt.good(good)
			found := slices.ContainsFunc(bad.findings(), func(f plan.Finding) bool {
				return f.ID == tt.id && f.Severity == tt.severity && f.Object == tt.object && strings.Contains(f.Message, tt.says) && f.Remedy != ""
			})
			if !found {
				t.Errorf("wanted %s %s about %s, saying %q; got %+v", tt.severity, tt.id, tt.object, tt.says, bad.findings())
			}
			for _, f := range good.findings() {
				if f.ID == tt.id {
					t.Errorf("said without need: %+v", f)
				}
			}
		})
	}
	for _, id := range ids() {
		if !tested[id] {
			t.Errorf("no case for %s", id)
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	s := fine()
	s.inv.Nodes[0].Kernel, s.inv.Nodes[1].Kernel = "3.1", "3.2"
	s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("b", "manual", "10.0.0.32/28", "10.0.0.64/28"), s.existing("a", "other", "10.0.0.0/24"),
		s.existing("c", "other", "10.0.0.40")}
	want := s.findings()
	slices.Reverse(s.inv.Nodes)
	slices.Reverse(s.cluster.Pools)
	if d := cmp.Diff(want, s.findings()); d != "" || len(want) < 5 {
		t.Errorf("%d findings: %s", len(want), d)
	}
}

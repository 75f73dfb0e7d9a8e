// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"regexp"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// written puts a Manual network of IPv4 into the cluster, with a pool that is right but for the change.
func (s *situation) written(change func(n *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool)) {
	n := network("lab", func(n *v1alpha1.UnderlayNetworkSpec) {
		n.Provider, n.IPFamilies = v1alpha1.ProviderManual, []v1alpha1.IPFamily{v1alpha1.IPv4}
	})
	p := s.existing("mine", "lab", "10.0.3.0-10.0.3.9")
	s.cluster.Nodes = s.inv.Nodes
	report := v1alpha1.UnderlayNode{}
	report.Name = s.inv.Nodes[0].Name
	report.Status.Links = []v1alpha1.NodeLink{{Name: "ens5", MACAddress: s.nic(0).MACAddress}}
	s.cluster.Reports = []v1alpha1.UnderlayNode{report}
	change(&n, &p)
	s.cluster.Networks = append(s.cluster.Networks, n)
	s.cluster.Pools = append(s.cluster.Pools, p)
}

func writtenCases() []checkCase {
	type change = func(n *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool)
	of := func(id, says string, bad, good change) checkCase {
		return checkCase{id: id, severity: plan.Error, object: "pool/mine", says: says,
			bad: func(s *situation) { s.written(bad) }, good: func(s *situation) { s.written(good) }}
	}
	ranges := func(list ...v1alpha1.Range) change {
		return func(_ *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) { p.Spec.Ranges = list }
	}
	excluding := func(out v1alpha1.Range, list ...v1alpha1.Range) change {
		return func(_ *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) {
			p.Spec.Ranges, p.Spec.Exclude = list, []v1alpha1.Range{out}
		}
	}
	return []checkCase{
		{id: idPoolDuplicate, severity: plan.Error, object: "pool/mine", says: "pool first is of the same network",
			bad: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("first", "lab", "10.0.4.0/28")}
				s.written(func(_ *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) {})
			},
			good: func(s *situation) {
				s.cluster.Pools = []v1alpha1.UnderlayPool{s.existing("first", "other", "10.0.4.0/28")}
				s.written(func(_ *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) {})
			}},
		of(plan.IDPoolFamilyNotInNetwork, "network lab is IPv4 alone, and the pool is IPv6",
			func(_ *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) { p.Spec.IPFamily = v1alpha1.IPv6 },
			func(n *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) {
				n.Spec.IPFamilies, p.Spec.IPFamily = nil, v1alpha1.IPv6
			}),
		of(plan.IDPoolHasGateway, "the gateway 10.0.0.1", ranges("10.0.0.1-10.0.0.9"), excluding("10.0.0.1", "10.0.0.1-10.0.0.9")),
		of(plan.IDPoolHasNodeAddress, "10.0.0.10, which is node node-0000's own", ranges("10.0.0.8-10.0.0.12"), excluding("10.0.0.10", "10.0.0.8-10.0.0.12")),
		of(plan.IDPoolHasReservedAddress, "10.0.255.255, which no host", ranges("10.0.255.0/24"), ranges("10.0.255.0-10.0.255.254")),
		of(plan.IDPoolInterfaceNotFound, "it has 02:00:00:00:00:00 (ens5)",
			func(_ *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) {
				p.Spec.Interface.MACAddress = "02:00:00:00:99:99"
			},
			func(_ *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) { // its agent has not reported
				p.Spec.Interface.MACAddress, p.Spec.NodeName = "02:00:00:00:99:99", "node-0001"
			}),
		of(plan.IDPoolNetworkNotFound, "network lab does not exist",
			func(n *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) { n.Name = "other" },
			func(_ *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) {}),
		of(plan.IDPoolNodeNotFound, "the cluster has no node node-7",
			func(_ *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) { p.Spec.NodeName = "node-7" },
			func(_ *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) {}),
		of(plan.IDPoolNodeNotSelected, "network lab is not for node node-0000",
			func(n *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) {
				n.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": "node-0001"}}
			},
			func(n *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) {
				n.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/hostname": "node-0000"}}
			}),
		of(plan.IDPoolNotDerived, "network lab derives its pools",
			func(n *v1alpha1.UnderlayNetwork, _ *v1alpha1.UnderlayPool) { n.Spec.Provider = v1alpha1.ProviderAWS },
			func(n *v1alpha1.UnderlayNetwork, p *v1alpha1.UnderlayPool) {
				n.Spec.Provider, p.Labels = v1alpha1.ProviderAWS, map[string]string{plan.LabelManagedBy: plan.ManagedBy}
			}),
		{id: plan.IDProviderMismatch, severity: plan.Warning, object: "network/a", says: "come from AWS",
			bad: func(s *situation) {
				s.inv.Provider, s.networks = v1alpha1.ProviderManual, []v1alpha1.UnderlayNetwork{network("a", nil)}
			},
			good: func(s *situation) { s.networks = []v1alpha1.UnderlayNetwork{network("a", nil)} }},
		{id: plan.IDSubnetWithoutGateway, severity: plan.Error, object: "subnet/subnet-00-0", says: "no IPv4 gateway inside it, so there is no pool for the IPv4 addresses of 2 interfaces",
			bad: func(s *situation) { s.inv.Provider = v1alpha1.ProviderManual },
			good: func(s *situation) {
				s.inv.Provider = v1alpha1.ProviderManual
				s.inv.Subnets[0].Gateway, s.inv.Subnets[0].IPv6Gateway = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")
			}},
	}
}

// outsideClouds makes of the inventory what a user writes where there is no cloud, with the same mistakes.
func (s *situation) outsideClouds() {
	manual := v1alpha1.Inventory{Provider: v1alpha1.ProviderManual, Nodes: s.inv.Nodes, Subnets: s.inv.Subnets}
	for i := range manual.Subnets {
		manual.Subnets[i].Gateway, manual.Subnets[i].IPv6Gateway = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")
	}
	for i := range manual.Nodes {
		for j := range manual.Nodes[i].Interfaces {
			nic := &manual.Nodes[i].Interfaces[j]
			for _, p := range append(nic.IPv4Prefixes, nic.IPv6Prefixes...) {
				nic.Ranges = append(nic.Ranges, p.String())
			}
			for _, a := range append(nic.SecondaryIPv4, nic.SecondaryIPv6...) {
				nic.Ranges = append(nic.Ranges, a.String())
			}
			nic.IPv4Prefixes, nic.IPv6Prefixes, nic.SecondaryIPv4, nic.SecondaryIPv6, nic.Tags = nil, nil, nil, nil, nil
		}
	}
	s.inv, s.unread, s.asked = manual, nil, false
	for _, networks := range [][]v1alpha1.UnderlayNetwork{s.networks, s.cluster.Networks} {
		for i := range networks {
			networks[i].Spec.Provider, networks[i].Spec.Provisioning = v1alpha1.ProviderManual, nil
		}
	}
}

// TestNoCloudIsNamedOutsideOne: what is to be done about the same mistakes needs no cloud where there is none.
func TestNoCloudIsNamedOutsideOne(t *testing.T) {
	cloudy := regexp.MustCompile(`EC2|AWS|\baws |VPC|\bENI`)
	said := map[string]bool{}
	for _, c := range cases() {
		s := fine()
		c.bad(s)
		if s.cluster == nil {
			s.cluster = &Cluster{}
		}
		s.outsideClouds()
		for _, f := range s.findings() {
			said[f.ID] = true
			if text := f.Message + "; " + f.Remedy; cloudy.MatchString(text) {
				t.Errorf("%s %s: %s", f.ID, f.Object, text)
			}
		}
	}
	if len(said) < 30 {
		t.Errorf("the mistakes that are made show %d findings alone: %v", len(said), said)
	}
}

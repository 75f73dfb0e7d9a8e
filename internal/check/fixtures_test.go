// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// situation is what a case changes, before planning.
type situation struct {
	inv        v1alpha1.Inventory
	networks   []v1alpha1.UnderlayNetwork
	cluster    *Cluster
	spiderpool bool
	unread     []*cloud.Error
	asked      bool
	peers      []Peer
}

// fine is a situation in which no check has anything to say: two nodes with one interface each.
func fine() *situation {
	return &situation{
		inv:     plantest.Inventory(plantest.Uniform(2, plantest.Node{{Prefixes4: 1, Prefixes6: 1}})),
		cluster: &Cluster{MultusCRD: true, ServerVersion: "v1.34.1"},
	}
}

func (s *situation) nic(node int) *v1alpha1.Interface { return &s.inv.Nodes[node].Interfaces[0] }

func (s *situation) findings() []plan.Finding {
	p, planned := plan.For(plan.Inputs{Inventory: s.inv, Networks: s.networks, Propose: true})
	if s.spiderpool {
		_, exported := plan.Spiderpool(p, s.inv, plan.SpiderpoolOptions{})
		planned = append(planned, exported...)
	}
	return Run(Inputs{Inventory: s.inv, Plan: p, PlanFindings: planned, Unread: s.unread, Asked: s.asked, Cluster: s.cluster, Peers: s.peers}, nil)
}

func network(name string, change func(*v1alpha1.UnderlayNetworkSpec)) v1alpha1.UnderlayNetwork {
	n := v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Spec.InterfaceSelector.DeviceIndexes = []int32{0}
	if change != nil {
		change(&n.Spec)
	}
	return n
}

// existing is a pool in the cluster, on the interface of the first node.
func (s *situation) existing(name, network string, ranges ...v1alpha1.Range) v1alpha1.UnderlayPool {
	nic := s.nic(0)
	return v1alpha1.UnderlayPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.UnderlayPoolSpec{
		NetworkName: network, NodeName: s.inv.Nodes[0].Name, IPFamily: v1alpha1.IPv4, Subnet: "10.0.0.0/16", Gateway: "10.0.0.1",
		Interface: v1alpha1.PoolInterface{ID: nic.ID, MACAddress: nic.MACAddress}, Ranges: ranges}}
}

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// cases are one for each id at least.
func cases() []checkCase {
	return slices.Concat(planCases(), writtenCases(), installCases(), hostCases(), egressCases(), groupCases(), aclCases(), capacityCases(), spaceCases(), mtuCases(),
		peerCases(), routeCases(), accessCases(), spiderpoolCases())
}

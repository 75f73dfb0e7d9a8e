// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
)

// affinities tells which conditions of a pool have no counterpart. A pool here serves whoever joins its network.
func (m *migration) affinities(p *spiderPool) {
	object := p.object()
	if p.spec.PodAffinity != nil {
		m.tell(object, "spec.podAffinity", Dropped, "any pod of the network gets its addresses: make a network of its own for these pods if that must not be")
	}
	if p.spec.NamespaceAffinity != nil || len(p.spec.NamespaceName) > 0 {
		m.tell(object, "spec.namespaceAffinity", Dropped, "list the namespaces in spec.allowedNamespaces of the network: it is for the network as a whole")
	}
	if p.spec.VLAN > 0 {
		m.tell(object, "spec.vlan", Dropped, "choose the VLAN's own link (such as eth1.%d) in the network", p.spec.VLAN)
	}
	if !p.spec.Default && len(p.spec.MultusName) == 0 {
		m.tell(object, "spec.default", Changed, "pods need not name it: it serves its network")
	}
}

// coordinate tells what becomes of a coordinator's fields.
func (m *migration) coordinate(object, at string, c *spiderCoordinator) {
	tell := func(is bool, field string, outcome Outcome, note string) {
		if is {
			m.tell(object, at+"."+field, outcome, "%s", note)
		}
	}
	tell(c.Mode == "overlay", "mode", Changed, "a pod's first interface gets the host leg, further ones do not: the pod's other CNI reaches its node")
	tell(c.Mode == "disabled", "mode", Carried, "hostAccess.enabled is false: probes, ClusterIP and NodePort do not reach such pods")
	tell(c.Mode == "underlay" || c.Mode == "auto" || c.Mode == "", "mode", Carried, "pods get a host leg")
	tell(len(c.HijackCIDR) > 0, "hijackCIDR", Carried, "hostAccess.cidrs is "+strings.Join(c.HijackCIDR, ", "))
	tell(c.PodMACPrefix != "", "podMACPrefix", Dropped, "pods share their interface's MAC address")
	tell(c.TunePodRoutes != nil && !*c.TunePodRoutes, "tunePodRoutes", Dropped, "routes of several interfaces are always kept apart")
	tell(c.PodDefaultRouteNIC != "", "podDefaultRouteNIC", Dropped, "a pod's first interface has the default route; answers leave by the interface that was asked")
	tell(c.HostRuleTable != nil, "hostRuleTable", Dropped, "the host leg has tables of its own")
	tell(c.HostRPFilter != nil || c.PodRPFilter != nil, "podRPFilter", Dropped, "no reverse path filter has to be turned off")
	tell(c.TxQueueLen > 0, "txQueueLen", Dropped, "links keep the kernel's queue length")
	tell(c.DetectIPConflict, "detectIPConflict", Dropped, "an address is bound to one interface; one that is in use is set aside")
	tell(c.DetectGateway, "detectGateway", Dropped, "`kubectl underlay check` looks at routes and gateways")
}

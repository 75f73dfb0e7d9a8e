// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// hostAccessCoversPods are the CIDRs of hostAccess in which pods on other nodes are. What is for them goes up the host leg, and leaves the node by its own
// interface, whose addresses the cloud knows: those of pods on another interface are not among them.
func hostAccessCoversPods(p *Plan) []Finding {
	var out []Finding
	for i := range p.Networks {
		n := &p.Networks[i]
		access := n.Effective().HostAccess
		if n.Spec.Provider == v1alpha1.ProviderManual || !*access.Enabled {
			continue
		}
		for _, cidr := range access.CIDRs {
			r, err := iprange.Parse(string(cidr))
			if err != nil {
				continue // which the API server refuses
			}
			if covered := p.podsElsewhere(n.Name, r); len(covered) > 0 {
				out = append(out, Finding{ID: IDHostAccessCoversPods, Severity: Warning, Object: "network/" + n.Name,
					Message: fmt.Sprintf("spec.hostAccess.cidrs has %s, in which are addresses of pods: %s; what pods of this network send to those on other nodes "+
						"goes by their own node, and the VPC drops it there, since the node's own interface does not have the sender's address", cidr, Some(covered)),
					Remedy: "take it out of spec.hostAccess.cidrs, or name only what nodes alone reach, such as another CNI's pods"})
			}
		}
	}
	return out
}

// podsElsewhere names pools with addresses in the range that are not on the node of each pod of the network which goes there: its pools on other interfaces
// than the nodes' own count.
func (p *Plan) podsElsewhere(network string, r iprange.Range) []string {
	senders := map[string]bool{} // nodes
	for i := range p.Pools {
		s := &p.Pools[i].Spec
		if s.NetworkName == network && (s.Interface.DeviceIndex > 0 || s.Interface.NetworkCardIndex > 0) && (s.IPFamily == v1alpha1.IPv4) == r.Is4() {
			senders[s.NodeName] = true
		}
	}
	var covered []string
	for i := range p.Pools {
		s := &p.Pools[i].Spec
		elsewhere := len(senders) > 1 || len(senders) == 1 && !senders[s.NodeName]
		if elsewhere && slices.ContainsFunc(parseRanges(s.Ranges), r.Overlaps) {
			covered = append(covered, p.Pools[i].Name)
		}
	}
	return covered
}

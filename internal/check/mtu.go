// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/vpc"
)

// The ids of the checks of how large packets may be.
const (
	idMTUAboveInterface = "mtu-above-interface"
	idMTUBelowIPv6      = "mtu-below-ipv6"
	idMTUBeyondVPC      = "mtu-beyond-vpc"
	idMTUDiffers        = "mtu-differs"
)

func mtuChecks() []Check {
	return []Check{
		{idMTUAboveInterface, "interfaces carry what spec.mtu asks for", plan.Error, eachSized(mtuAboveInterface)},
		{idMTUBelowIPv6, "interfaces with IPv6 pods carry 1280 bytes", plan.Error, eachSized(mtuBelowIPv6)},
		{idMTUBeyondVPC, "what leads out of the VPC carries packets of the pods' size", plan.Info, eachSized(mtuBeyondVPC)},
		{idMTUDiffers, "the interfaces of a network have one MTU", plan.Warning, eachSized(mtuDiffers)},
	}
}

// sized is a network with those of its interfaces whose MTU is known: their nodes' agents saw it.
type sized struct {
	network string
	// mtu is the network's; 0 takes the interface's.
	mtu      int32
	carriers []carrier
	in       *v1alpha1.Inventory
}

func eachSized(run func(sized) *plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		all := slices.DeleteFunc(podCarriers(in), func(c carrier) bool { return c.nic.MTU == 0 })
		var out []plan.Finding
		for i := range in.Plan.Networks {
			n := &in.Plan.Networks[i]
			s := sized{network: n.Name, mtu: n.Spec.MTU, in: &in.Inventory}
			for _, c := range all {
				if c.network == n.Name {
					s.carriers = append(s.carriers, c)
				}
			}
			if f := run(s); f != nil {
				f.Object = "network/" + n.Name
				out = append(out, *f)
			}
		}
		return out
	}
}

// ofPods is the MTU that pods on the interface have.
func (s sized) ofPods(c carrier) int32 {
	if s.mtu > 0 {
		return s.mtu
	}
	return c.nic.MTU
}

// where names the interfaces of carriers, each once.
func where(of []carrier) string {
	var names []string
	for _, c := range of {
		name := fmt.Sprintf("%s (%s: %d)", c.nic.ID, c.node.Name, c.nic.MTU)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return plan.Some(names)
}

func (s sized) only(keep func(carrier) bool) []carrier {
	return slices.DeleteFunc(slices.Clone(s.carriers), func(c carrier) bool { return !keep(c) })
}

func mtuAboveInterface(s sized) *plan.Finding {
	low := s.only(func(c carrier) bool { return s.mtu > c.nic.MTU })
	if len(low) == 0 {
		return nil
	}
	lowest := slices.MinFunc(low, func(a, b carrier) int { return int(a.nic.MTU - b.nic.MTU) }).nic.MTU
	return &plan.Finding{ID: idMTUAboveInterface, Severity: plan.Error,
		Message: fmt.Sprintf("spec.mtu is %d; interfaces of the network that carry less: %s; pods fail to start there", s.mtu, where(low)),
		Remedy:  fmt.Sprintf("`kubectl patch underlaynetwork %s --type merge -p '{\"spec\":{\"mtu\":%d}}'`, or raise the MTU of the nodes' links", s.network, lowest)}
}

// smallestIPv6 is the least MTU of a link that carries IPv6 (RFC 8200, section 5).
const smallestIPv6 = 1280

func mtuBelowIPv6(s sized) *plan.Finding {
	low := s.only(func(c carrier) bool { return c.family == v1alpha1.IPv6 && s.ofPods(c) < smallestIPv6 })
	if len(low) == 0 {
		return nil
	}
	return &plan.Finding{ID: idMTUBelowIPv6, Severity: plan.Error,
		Message: fmt.Sprintf("IPv6 needs links of %d bytes; interfaces with IPv6 pods that carry less: %s", smallestIPv6, where(low)),
		Remedy:  "`ip link set dev <link> mtu 1500`, or more where the network carries it, on the nodes (and where they set it at boot), or leave IPv6 out of the network's spec.ipFamilies"}
}

func mtuDiffers(s sized) *plan.Finding {
	var sizes []int32
	for _, c := range s.carriers {
		sizes = append(sizes, s.ofPods(c))
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	if len(sizes) < 2 {
		return nil
	}
	var groups []string
	for _, size := range sizes {
		groups = append(groups, fmt.Sprintf("%d on %s", size, plan.Count(nicCount(s.only(func(c carrier) bool { return s.ofPods(c) == size })), "interface")))
	}
	small := s.only(func(c carrier) bool { return s.ofPods(c) < sizes[len(sizes)-1] })
	return &plan.Finding{ID: idMTUDiffers, Severity: plan.Warning,
		Message: fmt.Sprintf("pods of the network have different MTUs: %s; larger packets to the smaller ones are dropped without an answer; the smaller: %s",
			strings.Join(groups, ", "), where(small)),
		Remedy: fmt.Sprintf("`kubectl patch underlaynetwork %s --type merge -p '{\"spec\":{\"mtu\":%d}}'`, or set the same MTU on all nodes", s.network, sizes[0])}
}

// beyond is the largest packet that transit gateways and peerings of different regions carry:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/network_mtu.html and
// https://docs.aws.amazon.com/vpc/latest/tgw/transit-gateway-quotas.html
const beyond = 8500

// mtuBeyondVPC looks at routes of the pods' subnets. The internet's 1500 is no finding: each host finds that out by itself,
// since internet gateways answer that a packet is too large.
func mtuBeyondVPC(s sized) *plan.Finding {
	around := vpc.Of(s.in)
	var ways []string
	for _, subnet := range subnetsOf(Inputs{Inventory: *s.in}, s.only(func(c carrier) bool { return s.ofPods(c) > beyond })) {
		table := around.TableOf(subnet.Subnet)
		if table == nil {
			continue
		}
		for _, r := range table.Routes {
			if !r.Blackhole() && (r.TransitGatewayID != "" || betweenRegions(around, r.VPCPeeringConnectionID)) {
				ways = append(ways, r.Target())
			}
		}
	}
	slices.Sort(ways)
	if ways = slices.Compact(ways); len(ways) == 0 {
		return nil
	}
	return &plan.Finding{ID: idMTUBeyondVPC, Severity: plan.Info,
		Message: fmt.Sprintf("pods send packets larger than %d bytes, and have routes by %s, which carry no larger ones", beyond, plan.Some(ways)),
		Remedy: fmt.Sprintf("nothing, where both sides learn the size from TCP; otherwise `kubectl patch underlaynetwork %s --type merge -p '{\"spec\":{\"mtu\":%d}}'`",
			s.network, beyond)}
}

func betweenRegions(around vpc.Surroundings, id string) bool {
	return id != "" && slices.ContainsFunc(around.VPCPeeringConnections, func(c vpc.PeeringConnection) bool {
		return c.ID == id && c.Accepter.Region != "" && c.Requester.Region != "" && c.Accepter.Region != c.Requester.Region
	})
}

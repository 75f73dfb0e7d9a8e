// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/vpc"
)

// The ids of the checks of another cluster beside ours.
const (
	idPeerAddressesOverlap = "peer-addresses-overlap"
	idPeerInterfaceShared  = "peer-interface-shared"
	idPeerVPCOverlap       = "peer-vpc-overlap"
	idPeerWithoutRoute     = "peer-without-route"
)

// Peer is another cluster, whose pods and ours shall talk to each other.
type Peer struct {
	// Context names it in the user's kubeconfig.
	Context string
	// Inventory has its nodes; interfaces, VPCs and what surrounds them only as far as the cloud could be asked.
	Inventory v1alpha1.Inventory
	// Pools that exist there.
	Pools []v1alpha1.UnderlayPool
	// PodCIDRs of its nodes, for pods of another CNI, and ServiceCIDRs; empty if unknown.
	PodCIDRs     []netip.Prefix
	ServiceCIDRs []netip.Prefix
}

func peerChecks() []Check {
	return []Check{
		{idPeerAddressesOverlap, "another cluster has other addresses", plan.Error, eachPeer(peerAddressesOverlap)},
		{idPeerInterfaceShared, "an interface carries pods of one cluster", plan.Error, eachPeer(peerInterfaceShared)},
		{idPeerVPCOverlap, "another cluster's VPC has other networks", plan.Warning, eachPeer(peerVPCOverlap)},
		{idPeerWithoutRoute, "another cluster's VPC can be reached", plan.Warning, eachPeer(peerWithoutRoute)},
	}
}

func eachPeer(run func(Inputs, Peer) []plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		var out []plan.Finding
		for _, p := range in.Peers {
			out = append(out, run(in, p)...)
		}
		return out
	}
}

func (p Peer) object() string { return "cluster/" + p.Context }

// peerInterfaceShared looks for interfaces that pools of both clusters name.
func peerInterfaceShared(in Inputs, peer Peer) []plan.Finding {
	theirs := map[string]*v1alpha1.UnderlayPool{}
	for i := range peer.Pools {
		nic := peer.Pools[i].Spec.Interface
		theirs[strings.ToLower(nic.MACAddress)] = &peer.Pools[i]
		if nic.ID != "" {
			theirs[nic.ID] = &peer.Pools[i]
		}
	}
	var out []plan.Finding
	seen := map[string]bool{}
	own := ownPools(in)
	for i := range own {
		ours, nic := &own[i], own[i].Spec.Interface
		other := theirs[nic.ID]
		if other == nil {
			other = theirs[strings.ToLower(nic.MACAddress)]
		}
		if other == nil || seen[nic.MACAddress] {
			continue
		}
		seen[nic.MACAddress] = true
		wherever := "`ip link` there shows its MAC address " + nic.MACAddress
		if in.Inventory.Provider == v1alpha1.ProviderAWS {
			wherever = "`aws ec2 describe-network-interfaces --network-interface-ids " + nic.ID + "`"
		}
		out = append(out, plan.Finding{ID: idPeerInterfaceShared, Severity: plan.Error, Object: fmt.Sprintf("interface/%s (%s)", nic.ID, ours.Spec.NodeName),
			Message: fmt.Sprintf("cluster %s has a pool of it too: %s on node %s, as this one has %s; both would hand out its addresses",
				peer.Context, other.Name, other.Spec.NodeName, ours.Name),
			Remedy: fmt.Sprintf("see which machine has the interface (%s); "+
				"if that is node %s of this cluster, `kubectl --context %s delete underlaypool %s`, else delete %s here", wherever,
				ours.Spec.NodeName, peer.Context, other.Name, ours.Name)})
	}
	return out
}

// claim is a kind of addresses that a cluster uses.
type claim struct {
	what   string
	ranges []iprange.Range
}

// The kinds of claims.
const (
	poolAddresses = "pool addresses"
	podCIDRs      = "pod CIDRs"
	serviceCIDRs  = "service CIDRs"
	nodeAddresses = "node addresses"
)

func claims(pools []v1alpha1.UnderlayPool, pods, services []netip.Prefix, nodes []v1alpha1.Node) []claim {
	out := []claim{{what: poolAddresses}, {what: podCIDRs}, {what: serviceCIDRs}, {what: nodeAddresses}}
	for i := range pools {
		out[0].ranges = append(out[0].ranges, iprange.Subtract(parse(pools[i].Spec.Ranges), parse(pools[i].Spec.Exclude))...)
	}
	out[1].ranges, out[2].ranges = rangesOf(pods), rangesOf(services)
	for i := range nodes {
		for _, ip := range nodes[i].InternalIPs {
			out[3].ranges = append(out[3].ranges, iprange.Single(ip))
		}
	}
	for i := range out {
		out[i].ranges = iprange.Merge(out[i].ranges)
	}
	return out
}

func rangesOf(cidrs []netip.Prefix) []iprange.Range {
	out := make([]iprange.Range, 0, len(cidrs))
	for _, cidr := range cidrs {
		out = append(out, iprange.FromPrefix(cidr.Masked()))
	}
	return out
}

// peerAddressesOverlap compares what the clusters use, each kind with each.
func peerAddressesOverlap(in Inputs, peer Peer) []plan.Finding {
	var pods, services []netip.Prefix
	if in.Cluster != nil {
		pods, services = in.Cluster.PodCIDRs, in.Cluster.ServiceCIDRs
	}
	var out []plan.Finding
	for _, ours := range claims(ownPools(in), pods, services, in.Inventory.Nodes) {
		for _, theirs := range claims(peer.Pools, peer.PodCIDRs, peer.ServiceCIDRs, peer.Inventory.Nodes) {
			common := iprange.Subtract(ours.ranges, iprange.Subtract(ours.ranges, theirs.ranges))
			severity, because := overlapMeans(ours.what, theirs.what, sameVPC(in, peer))
			if len(common) == 0 || because == "" {
				continue
			}
			out = append(out, plan.Finding{ID: idPeerAddressesOverlap, Severity: severity, Object: peer.object(),
				Message: fmt.Sprintf("its %s and the %s of this cluster have %s in common: %s; %s", theirs.what, ours.what, addresses(common), plan.SomeRanges(common), because),
				Remedy: "give one of the clusters other networks: other subnets for its nodes and pools (or spec.exclude of its UnderlayNetwork), " +
					"another ServiceCIDR, or another pod CIDR of its other CNI"})
		}
	}
	return out
}

// overlapMeans says what follows where addresses are in both; nothing where both keep them to themselves.
func overlapMeans(ours, theirs string, oneVPC bool) (plan.Severity, string) {
	switch {
	case ours == serviceCIDRs && theirs == serviceCIDRs:
		return "", ""
	case ours == serviceCIDRs:
		return plan.Warning, "what pods here send there stays on their node, as if it were for a service"
	case theirs == serviceCIDRs:
		return plan.Warning, "what pods there send here stays on their node, as if it were for a service"
	case ours == podCIDRs && theirs == podCIDRs:
		return plan.Info, "pods of these networks cannot reach each other without translation"
	case ours == poolAddresses && theirs == poolAddresses && oneVPC:
		return plan.Error, "two pods of one VPC would have one address"
	default:
		return plan.Warning, "whoever has such an address here cannot reach who has it there"
	}
}

// vpcsOf are the VPCs that an inventory's nodes are in.
func vpcsOf(inv *v1alpha1.Inventory) []v1alpha1.VPC {
	home := map[string]string{}
	for _, s := range inv.Subnets {
		home[s.ID] = s.VPCID
	}
	used := map[string]bool{}
	for i := range inv.Nodes {
		for j := range inv.Nodes[i].Interfaces {
			used[home[inv.Nodes[i].Interfaces[j].SubnetID]] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(inv.VPCs), func(v v1alpha1.VPC) bool { return !used[v.ID] })
}

func sameVPC(in Inputs, peer Peer) bool {
	theirs := vpcsOf(&peer.Inventory)
	return slices.ContainsFunc(vpcsOf(&in.Inventory), func(v v1alpha1.VPC) bool {
		return slices.ContainsFunc(theirs, func(o v1alpha1.VPC) bool { return o.ID == v.ID })
	})
}

// eachVPCPair goes through the pairs of VPCs that are not one.
func eachVPCPair(in Inputs, peer Peer, run func(ours, theirs v1alpha1.VPC) *plan.Finding) []plan.Finding {
	var out []plan.Finding
	for _, ours := range vpcsOf(&in.Inventory) {
		for _, theirs := range vpcsOf(&peer.Inventory) {
			if ours.ID == theirs.ID {
				continue
			}
			if f := run(ours, theirs); f != nil {
				f.Object = peer.object()
				out = append(out, *f)
			}
		}
	}
	return out
}

// inBoth are the addresses that both VPCs have.
func inBoth(ours, theirs v1alpha1.VPC) []iprange.Range {
	a := iprange.Merge(rangesOf(slices.Concat(ours.CIDRs, ours.IPv6CIDRs)))
	b := iprange.Merge(rangesOf(slices.Concat(theirs.CIDRs, theirs.IPv6CIDRs)))
	return iprange.Subtract(a, iprange.Subtract(a, b))
}

func peerVPCOverlap(in Inputs, peer Peer) []plan.Finding {
	return eachVPCPair(in, peer, func(ours, theirs v1alpha1.VPC) *plan.Finding {
		common := inBoth(ours, theirs)
		if len(common) == 0 {
			return nil
		}
		return &plan.Finding{ID: idPeerVPCOverlap, Severity: plan.Warning,
			Message: fmt.Sprintf("its VPC %s and the VPC %s of this cluster both have %s: they cannot be peered, and no route between them is clear", theirs.ID, ours.ID, plan.SomeRanges(common)),
			Remedy: "put one of the clusters into a VPC with other networks; between these only what translates addresses works " +
				"(a load balancer with AWS PrivateLink, a private NAT gateway)"}
	})
}

// peerWithoutRoute says so where nothing joins two VPCs that could be joined: no peering, and no transit gateway that both
// are attached to. What else could, such as a VPN or a core network, is seen by its routes.
func peerWithoutRoute(in Inputs, peer Peer) []plan.Finding {
	around, beside := vpc.Of(&in.Inventory), vpc.Of(&peer.Inventory)
	return eachVPCPair(in, peer, func(ours, theirs v1alpha1.VPC) *plan.Finding {
		if len(inBoth(ours, theirs)) > 0 || slices.ContainsFunc(around.RouteTables, leadsElsewhere) || commonGateway(around, beside, ours.ID, theirs.ID) {
			return nil
		}
		f := &plan.Finding{ID: idPeerWithoutRoute, Severity: plan.Warning}
		for _, c := range slices.Concat(around.VPCPeeringConnections, beside.VPCPeeringConnections) {
			if !c.Joins(ours.ID, theirs.ID) {
				continue
			}
			if c.Status.Code == "active" {
				return unrouted(f, in, around, c, theirs)
			}
			f.Message = fmt.Sprintf("the peering connection %s of its VPC %s with the VPC %s of this cluster is not active (%s)", c.ID, theirs.ID, ours.ID, c.Status.Code)
			f.Remedy = fmt.Sprintf("`aws ec2 accept-vpc-peering-connection --vpc-peering-connection-id %s`, if it waits for that; otherwise make another one", c.ID)
		}
		if f.Message == "" {
			if !in.listed("ec2:DescribeVpcPeeringConnections", around.VPCPeeringConnections == nil) ||
				!in.listed("ec2:DescribeTransitGatewayAttachments", around.TransitGatewayAttachments == nil) {
				return nil // there may be one
			}
			f.Message = fmt.Sprintf("neither a peering connection nor a transit gateway joins its VPC %s with the VPC %s of this cluster: pods do not reach each other",
				theirs.ID, ours.ID)
			f.Remedy = fmt.Sprintf("`aws ec2 create-vpc-peering-connection --vpc-id %s --peer-vpc-id %s` (--peer-region and --peer-owner-id where these differ), "+
				"accept it there, and add routes on both sides; where the clusters need not talk there is nothing to do", ours.ID, theirs.ID)
		}
		return f
	})
}

// listed says whether a list of the inventory is known: it has something, or the cloud was asked and may be read.
func (in Inputs) listed(permission string, empty bool) bool {
	unread := slices.ContainsFunc(in.Unread, func(e *cloud.Error) bool { return e.Action == permission })
	return !empty || in.Asked && !unread
}

func leadsElsewhere(t vpc.RouteTable) bool {
	return slices.ContainsFunc(t.Routes, func(r vpc.Route) bool {
		return r.CoreNetworkARN != "" || strings.HasPrefix(r.GatewayID, "vgw-") || r.NetworkInterfaceID != ""
	})
}

// commonGateway says whether both VPCs may be attached to one transit gateway: of the peer's attachments nothing may be
// known, since they are another account's.
func commonGateway(around, beside vpc.Surroundings, ours, theirs string) bool {
	gateways := map[string]bool{}
	for _, a := range around.TransitGatewayAttachments {
		if a.ResourceID == ours && a.State == "available" {
			gateways[a.TransitGatewayID] = true
		}
	}
	known := false
	for _, a := range beside.TransitGatewayAttachments {
		if a.ResourceID == theirs {
			known = true
			if a.State == "available" && gateways[a.TransitGatewayID] {
				return true
			}
		}
	}
	return !known && len(gateways) > 0
}

// unrouted says which of our subnets have no route by a peering connection that works.
func unrouted(f *plan.Finding, in Inputs, around vpc.Surroundings, c vpc.PeeringConnection, theirs v1alpha1.VPC) *plan.Finding {
	var tables []string
	for _, s := range subnetsOf(in, podCarriers(in)) {
		table := around.TableOf(s.Subnet)
		if table != nil && table.Routes != nil && !table.Leads(c.ID) && !slices.Contains(tables, table.ID) {
			tables = append(tables, table.ID)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	destination := "--destination-cidr-block <its network>"
	if len(theirs.CIDRs) > 0 {
		destination = "--destination-cidr-block " + theirs.CIDRs[0].String()
	}
	f.Message = fmt.Sprintf("the peering connection %s with its VPC %s is active, but no route leads to it from subnets of our pods (route table %s)",
		c.ID, theirs.ID, plan.Some(tables))
	f.Remedy = fmt.Sprintf("`aws ec2 create-route --route-table-id %s %s --vpc-peering-connection-id %s`", tables[0], destination, c.ID)
	return f
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package check holds every check there is: what each looks at, and what it says. It is pure, as package plan is: it
// gets what was observed as a value, and gives findings; how they look is not its business. It may import plan and
// cloud's domain types, and neither client-go nor a cloud's SDK.
//
// Invariants: every id that a finding can have is in All, and has a section of that name in docs/checks.md; no check
// reads what another found, but for the planner's findings, which stand in All by their ids; equal inputs give equal
// findings in equal order.
package check

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// Inputs is all that checks look at.
type Inputs struct {
	// Inventory is what was observed.
	Inventory v1alpha1.Inventory
	// Plan that was made from it, with the planner's findings.
	Plan         plan.Plan
	PlanFindings []plan.Finding
	// Unread are the permissions that lists of the inventory lack, as cloud.Provider.Surroundings says.
	Unread []*cloud.Error
	// Asked says that the inventory is of the cloud itself: its lists are whole, but for those that Unread names.
	Asked bool
	// Cluster is nil offline.
	Cluster *Cluster
	// Peers are other clusters that ours shall live beside.
	Peers []Peer
}

// Cluster is what the API server said.
type Cluster struct {
	// MultusCRD: the cluster serves NetworkAttachmentDefinitions.
	MultusCRD bool
	// Networks and Pools that exist.
	Networks []v1alpha1.UnderlayNetwork
	Pools    []v1alpha1.UnderlayPool
	// Reports of the nodes' agents.
	Reports []v1alpha1.UnderlayNode
	// Nodes that exist.
	Nodes []v1alpha1.Node
	// WithoutCNI names the nodes whose kubelet waits for a CNI plugin.
	WithoutCNI []string
	// Install is what runs for us; nil where nothing does.
	Install *Install
	// ServerVersion such as v1.34.1; empty if unknown.
	ServerVersion string
	// PodCIDRs and ServiceCIDRs, where they were asked for: for a comparison with Peers.
	PodCIDRs     []netip.Prefix
	ServiceCIDRs []netip.Prefix
}

// Check looks at one thing.
type Check struct {
	// ID that its findings have.
	ID string
	// Title says what should be so.
	Title string
	// Severity of its findings, the worst if they differ.
	Severity plan.Severity
	// Run gives the findings, in any order.
	Run func(Inputs) []plan.Finding
}

// All checks by id.
func All() []Check {
	all := slices.Concat(planned(), nodeChecks(), hostChecks(), clusterChecks(), poolChecks(), cloudChecks(), egressChecks(), firewallChecks(), capacityChecks(),
		spaceChecks(), mtuChecks(), peerChecks(), installChecks(), healthChecks())
	slices.SortFunc(all, func(a, b Check) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Run gives the findings of all checks but those to skip, by severity, id and object.
func Run(in Inputs, skip []string) []plan.Finding {
	var out []plan.Finding
	for _, c := range All() {
		if !slices.Contains(skip, c.ID) {
			out = append(out, c.Run(in)...)
		}
	}
	plan.SortFindings(out)
	return slices.Compact(out)
}

// planned are the checks that the planner makes on its way: All lists them, and their findings are passed on.
func planned() []Check {
	pass := func(id, title string, severity plan.Severity) Check {
		return Check{ID: id, Title: title, Severity: severity, Run: func(in Inputs) []plan.Finding {
			return slices.DeleteFunc(slices.Clone(in.PlanFindings), func(f plan.Finding) bool { return f.ID != id })
		}}
	}
	return []Check{
		pass(plan.IDAddressOnTwoInterfaces, "an address is on one interface", plan.Error),
		pass(plan.IDAddressOutsideSubnet, "secondary addresses lie in their interface's subnet", plan.Error),
		pass(plan.IDAttachmentShared, "each network has an attachment of its own", plan.Error),
		pass(plan.IDDefaultNetworkTwice, "a node has one default network at most", plan.Error),
		pass(plan.IDDuplicateInInventory, "nodes, subnets and interfaces can be told apart", plan.Error),
		pass(plan.IDHostAccessCoversPods, "host access leaves out pods on other nodes", plan.Warning),
		pass(plan.IDInterfaceOwnedByOtherIPAM, "no other IPAM hands out an interface's addresses", plan.Warning),
		pass(plan.IDInterfaceShared, "networks choose different addresses", plan.Warning),
		pass(plan.IDInterfaceWithoutAddresses, "chosen interfaces carry addresses for pods", plan.Warning),
		pass(plan.IDLinkNameUnknown, "an export to Spiderpool knows the names of links", plan.Error),
		pass(plan.IDNetworkInvalid, "networks can be read", plan.Error),
		pass(plan.IDNetworkWithoutNodes, "a network selects nodes", plan.Warning),
		pass(plan.IDNodeWithoutInterface, "selected nodes have an interface for the network", plan.Warning),
		pass(plan.IDNothingToPropose, "some interface carries addresses for pods", plan.Warning),
		pass(plan.IDPrefixOutsideSubnet, "prefixes lie in their interface's subnet", plan.Error),
		pass(plan.IDProviderMismatch, "networks and inventory are of one provider", plan.Warning),
		{plan.IDRouteGatewayNotReached, "pods reach the gateways of their network's routes", plan.Warning, routeGatewayNotReached},
		pass(plan.IDRouteNotExported, "an export to Spiderpool has the networks' routes", plan.Warning),
		pass(plan.IDSubnetWithoutGateway, "subnets outside a cloud say their gateway", plan.Error),
		pass(plan.IDSubnetWithoutFamily, "subnets have the families of their interfaces' addresses", plan.Error),
		pass(plan.IDTooManyRanges, "a pool's ranges fit into it", plan.Warning),
		pass(plan.IDUnknownSubnet, "the inventory has the interfaces' subnets", plan.Error),
	}
}

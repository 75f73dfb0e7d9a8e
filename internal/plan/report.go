// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// report is what the inventory has to say. What is wrong with an interface is an error where a network chooses it.
func (v *view) report() []Finding {
	out := slices.Clone(v.findings)
	for n := range v.nics() {
		severity := Warning
		if n.chosen {
			severity = Error
		}
		for _, d := range n.defects {
			if d.id == IDTooManyRanges {
				out = append(out, Finding{d.id, Warning, n.object(), d.message, d.remedy})
				continue
			}
			out = append(out, Finding{d.id, severity, n.object(), d.message, d.remedy})
		}
		if len(n.foreign) > 0 && (n.chosen || n.carries()) {
			out = append(out, foreign(n))
		}
	}
	return out
}

func foreign(n *nic) Finding {
	tagged := fmt.Sprintf("`aws ec2 create-network-interface --subnet-id %s --ipv4-prefix-count 1 --tag-specifications "+
		"'ResourceType=network-interface,Tags=[{Key=%s,Value=true}]'`", n.SubnetID, v1alpha1.NoManageTag)
	f := Finding{ID: IDInterfaceOwnedByOtherIPAM, Severity: Info, Object: n.object(),
		Message: fmt.Sprintf("%s hands out the addresses of this interface: it is left alone", others(n.foreign)),
		Remedy:  "nothing, if that is meant; otherwise attach an interface for pods of their own, tagged from the first call: " + tagged}
	if n.chosen {
		f.Severity = Warning
		f.Message = fmt.Sprintf("a network chooses this interface, but %s hands out its addresses: no pool is made", others(n.foreign))
		f.Remedy = "attach an interface of its own for the network, tagged from the first call, and choose that one: " + tagged
	}
	if slices.Contains(n.foreign, v1alpha1.CiliumENI) {
		f.Remedy += ", and name that tag in Cilium's exclude-interface-tags"
	}
	return f
}

func others(ipams []v1alpha1.OtherIPAM) string {
	names := make([]string, 0, len(ipams))
	for _, o := range ipams {
		switch o {
		case v1alpha1.AWSVPCCNI:
			names = append(names, "the AWS VPC CNI (aws-node)")
		case v1alpha1.CiliumENI:
			names = append(names, "Cilium in ENI mode")
		default:
			names = append(names, string(o))
		}
	}
	return strings.Join(slices.Compact(names), " or ")
}

// nothing says that there is nothing to plan from.
func (v *view) nothing() Finding {
	remedy := v.either("write into each interface of the inventory which addresses are for pods, as `ranges: [10.20.0.100-10.20.0.119]`",
		"assign a prefix to an interface of each node (`aws ec2 assign-private-ip-addresses --ipv4-prefix-count 1 "+
			"--network-interface-id …`), or give a network with --network FILE")
	return Finding{ID: IDNothingToPropose, Severity: Warning, Object: "inventory",
		Message: fmt.Sprintf("no network is given, and none of %s on %s carries %s for pods",
			Count(v.count(), "interface"), Count(len(v.nodes), "node"), v.either("addresses", "a prefix or secondary address")),
		Remedy: remedy}
}

// report is what the networks have to say, each as a whole: five thousand nodes of one mistake are one finding.
func report(networks []*network) []Finding {
	var out []Finding
	for _, n := range networks {
		if n.invalid != nil {
			out = append(out, Finding{IDNetworkInvalid, Error, n.object(), n.invalid.Error(),
				"correct the network; until then it has neither pools nor an attachment"})
			continue
		}
		out = append(out, n.report()...)
	}
	return out
}

func have(n int) string {
	if n == 1 {
		return "has"
	}
	return "have"
}

func (n *network) report() []Finding {
	var out []Finding
	add := func(id string, severity Severity, remedy, message string, args ...any) {
		out = append(out, Finding{id, severity, n.object(), fmt.Sprintf(message, args...), remedy})
	}
	manual := n.spec.Provider == v1alpha1.ProviderManual
	switch {
	case n.selected == 0:
		add(IDNetworkWithoutNodes, Warning, "label the nodes, or correct spec.nodeSelector (absent: all Linux nodes)",
			"no node matches the network's nodeSelector")
	case n.elsewhere && manual: // which interfaces it has is known to its pools alone
	case n.elsewhere:
		add(IDProviderMismatch, Warning, "set spec.provider to Manual, or leave --inventory out, so that the cloud is asked",
			"the network's pools come from AWS, and the inventory is of provider Manual: no pool is planned for it")
	case n.chosen == 0:
		add(IDNodeWithoutInterface, Warning, "correct spec.interfaceSelector, or attach such interfaces",
			"none of %s has an interface with %s: the network has no pool", Count(n.selected, "selected node"), n.way())
	case len(n.without) > 0:
		add(IDNodeWithoutInterface, Info, "attach such an interface to them, or narrow spec.nodeSelector to the nodes that have one",
			"%d of %s %s no interface with %s, so pods of this network cannot run there: %s",
			len(n.without), Count(n.selected, "selected node"), have(len(n.without)), n.way(), Some(n.without))
	}
	if len(n.empty) > 0 {
		remedy := "assign prefixes or secondary addresses to them, or let spec.ipFamilies and spec.addressSources name what they have"
		if manual {
			remedy = "write into them in the inventory which addresses are for pods (`ranges:`), or let spec.ipFamilies name what they have"
		}
		add(IDInterfaceWithoutAddresses, Warning, remedy,
			"%d of %s %s no address for the network (%s, from %s): %s", len(n.empty), Count(n.chosen, "chosen interface"),
			have(len(n.empty)), joined(n.spec.IPFamilies), joined(n.spec.AddressSources), Some(n.empty))
	}
	for _, owner := range slices.Sorted(maps.Keys(n.lostTo)) {
		add(IDInterfaceShared, Warning, "let the two networks choose different interfaces, families or address sources",
			"network %s came first and has the addresses of %s that this network chooses too: %s", owner,
			Count(len(n.lostTo[owner]), "interface"), Some(n.lostTo[owner]))
	}
	for _, first := range slices.Sorted(maps.Keys(n.defaultsBefore)) {
		add(IDDefaultNetworkTwice, Error, "set spec.default to false in one of them, or narrow one nodeSelector",
			"network %s is the default already on %s that this network would be the default of: %s", first,
			Count(len(n.defaultsBefore[first]), "node"), Some(n.defaultsBefore[first]))
	}
	return out
}

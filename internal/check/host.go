// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of nodes' machines, as their agents see them.
const (
	idAddressClaimedByHost    = "address-claimed-by-host"
	idARPIgnored              = "arp-ignored"
	idForeignCNIConfiguration = "foreign-cni-configuration"
	idKernelModuleMissing     = "kernel-module-missing"
	idKubeProxyMode           = "kube-proxy-mode"
	idNodeWithoutIPv6         = "node-without-ipv6"
)

func hostChecks() []Check {
	return []Check{
		{idAddressClaimedByHost, "hosts leave pods' addresses alone", plan.Warning, eachHost(addressClaimed)},
		{idARPIgnored, "pods answer ARP requests", plan.Warning, eachHost(arpIgnored)},
		{idForeignCNIConfiguration, "no other CNI comes before a default network", plan.Error, eachHost(otherComesFirst)},
		{idKernelModuleMissing, "kernels have the modules that pods need", plan.Error, eachHost(moduleMissing)},
		{idKubeProxyMode, "kube-proxy translates for pods", plan.Warning, eachHost(proxyMode)},
		{idNodeWithoutIPv6, "nodes of IPv6 pods have an IPv6 address", plan.Warning, eachHost(withoutIPv6)},
	}
}

// machine is a node's, with the networks that have pools there.
type machine struct {
	*v1alpha1.NodeHost
	node     *v1alpha1.Node
	networks []*v1alpha1.UnderlayNetwork
	// families of pools, and of those of networks with host legs.
	families, legs map[v1alpha1.IPFamily]bool
}

// eachHost makes a check out of a check of a node's machine. Nodes without an agent's report, or without pools, have none.
func eachHost(run func(Inputs, machine) *plan.Finding) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		families := familiesByNode(in)
		var found grouped
		for i := range in.Inventory.Nodes {
			node := &in.Inventory.Nodes[i]
			if node.Host == nil || families[node.Name] == nil {
				continue
			}
			if f := run(in, machineOf(in, node, families[node.Name])); f != nil {
				found.add(*f, node.Name)
			}
		}
		return found.all()
	}
}

// familiesByNode are those of the pools on each node, by network.
func familiesByNode(in Inputs) map[string]map[string][]v1alpha1.IPFamily {
	pools := ownPools(in)
	out := map[string]map[string][]v1alpha1.IPFamily{}
	for i := range pools {
		p := &pools[i].Spec
		if out[p.NodeName] == nil {
			out[p.NodeName] = map[string][]v1alpha1.IPFamily{}
		}
		out[p.NodeName][p.NetworkName] = append(out[p.NodeName][p.NetworkName], p.IPFamily)
	}
	return out
}

func machineOf(in Inputs, node *v1alpha1.Node, families map[string][]v1alpha1.IPFamily) machine {
	m := machine{NodeHost: node.Host, node: node, families: map[v1alpha1.IPFamily]bool{}, legs: map[v1alpha1.IPFamily]bool{}}
	for i := range in.Plan.Networks {
		n := &in.Plan.Networks[i]
		for _, f := range families[n.Name] {
			m.families[f] = true
			m.legs[f] = m.legs[f] || *n.Effective().HostAccess.Enabled
		}
		if len(families[n.Name]) > 0 {
			m.networks = append(m.networks, n)
		}
	}
	return m
}

// addressClaimed: ec2-net-utils and NetworkManager's cloud setup put an interface's secondary addresses on the host's link. The node then answers for
// them, and pods get none of them.
func addressClaimed(in Inputs, m machine) *plan.Finding {
	var claimed []string
	for _, text := range m.Addresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		for i := range m.node.Interfaces {
			if forPods(&m.node.Interfaces[i], a) {
				claimed = append(claimed, text)
			}
		}
	}
	if len(claimed) == 0 {
		return nil
	}
	f := &plan.Finding{ID: idAddressClaimedByHost, Severity: plan.Warning,
		Message: "the host itself has addresses that are for pods, so no pod gets them: " + plan.Some(claimed),
		Remedy:  "remove them with `ip address del`, and from what configures the host's links at boot; or take them out of the pools"}
	if in.Inventory.Provider == v1alpha1.ProviderAWS {
		f.Remedy = "keep the host's tools from it: `systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service` (NetworkManager), " +
			"or `systemctl disable --now 'refresh-policy-routes@*.timer'` and `systemctl mask refresh-policy-routes@.timer policy-routes@.service` (amazon-ec2-net-utils); then remove the addresses with `ip address del`"
	}
	return f
}

// forPods says whether an interface's address could be a pod's.
func forPods(nic *v1alpha1.Interface, a netip.Addr) bool {
	if a == nic.PrimaryIPv4 || a == nic.PrimaryIPv6 {
		return false
	}
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	written := func(text string) bool {
		r, err := iprange.Parse(text)
		return err == nil && r.Contains(a)
	}
	return slices.ContainsFunc(nic.Ranges, written) || slices.Contains(nic.SecondaryIPv4, a) || slices.Contains(nic.SecondaryIPv6, a) || slices.ContainsFunc(nic.IPv4Prefixes, in) || slices.ContainsFunc(nic.IPv6Prefixes, in)
}

// arpIgnored: new network namespaces inherit the setting; from 4 on it is reserved, and 8 answers nothing. (Linux, Documentation/networking/ip-sysctl.)
func arpIgnored(_ Inputs, m machine) *plan.Finding {
	const highestThatAnswers = 3
	if m.ARPIgnore <= highestThatAnswers || !m.families[v1alpha1.IPv4] {
		return nil
	}
	return &plan.Finding{ID: idARPIgnored, Severity: plan.Warning,
		Message: fmt.Sprintf("net.ipv4.conf.all.arp_ignore is %d, which pods inherit: they answer no ARP request", m.ARPIgnore),
		Remedy:  "set it to 0, 1 or 2 in /etc/sysctl.d and by `sysctl -w net.ipv4.conf.all.arp_ignore=1`; pods that run must be started anew"}
}

func otherComesFirst(_ Inputs, m machine) *plan.Finding {
	i := slices.IndexFunc(m.networks, func(n *v1alpha1.UnderlayNetwork) bool { return n.Spec.Default })
	if m.ForeignCNIConfiguration == "" || i < 0 {
		return nil
	}
	return &plan.Finding{ID: idForeignCNIConfiguration, Severity: plan.Error,
		Message: fmt.Sprintf("network %s is the node's default, but runtimes take /etc/cni/net.d/%s first", m.networks[i].Name, m.ForeignCNIConfiguration),
		Remedy: fmt.Sprintf("remove that file, and the CNI that it belongs to, from the node, or set spec.default of network %s to false and attach pods by Multus",
			m.networks[i].Name)}
}

// moduleMissing says what fails without the modules that are missing, and is no error where no network needs them.
func moduleMissing(_ Inputs, m machine) *plan.Finding {
	const all, legs, blocked, limited = "pods", "pods with host access", "pods without metadata service", "pods with limited bandwidth"
	needs := map[string]string{"ipvlan": all, "sch_ingress": all, "cls_bpf": all, "sch_tbf": limited, "ifb": limited, "act_mirred": limited}
	for _, n := range m.networks {
		spec := n.Effective()
		if *spec.HostAccess.Enabled {
			needs["veth"], needs["nf_tables"] = legs, legs
		}
		if spec.MetadataService.Mode == v1alpha1.MetadataBlock || len(spec.MetadataService.ExceptNamespaces) > 0 { // these are treated the other way round
			needs["act_gact"], needs["act_csum"] = blocked, blocked
		}
	}
	severity := plan.Warning
	var lost []string
	for _, module := range m.MissingModules {
		switch need := needs[module]; need {
		case "":
		case limited:
			lost = append(lost, need)
		default:
			severity = plan.Error
			lost = append(lost, need)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	slices.Sort(lost)
	return &plan.Finding{ID: idKernelModuleMissing, Severity: severity,
		Message: fmt.Sprintf("the kernel has no %s, so these cannot start: %s", strings.Join(m.MissingModules, ", "), strings.Join(slices.Compact(lost), ", ")),
		Remedy: "install the kernel's package of additional modules on the node (such as linux-modules-extra or kernel-modules-extra), load them by `modprobe " +
			strings.Join(m.MissingModules, " ") + "`, and restart the node's agent"}
}

func proxyMode(_ Inputs, m machine) *plan.Finding {
	if !m.legs[v1alpha1.IPv4] && !m.legs[v1alpha1.IPv6] {
		return nil
	}
	f := plan.Finding{ID: idKubeProxyMode, Severity: plan.Warning}
	switch m.KubeProxyMode {
	case "nftables", "iptables":
		return nil
	case "":
		f.Severity = plan.Info
		f.Message = "no kube-proxy answers at localhost:10249, so it is unknown whether services reach their endpoints from pods"
		f.Remedy = "where another program serves instead, it must translate what comes from pods' host legs, not only at the sockets of its own pods; where kube-proxy listens elsewhere, set its metricsBindAddress to 127.0.0.1:10249"
	default:
		f.Message = fmt.Sprintf("kube-proxy is in mode %s, which is not tested with pods' host legs", m.KubeProxyMode)
		f.Remedy = "set kube-proxy's mode to nftables or iptables"
	}
	return &f
}

// withoutIPv6: what is translated on the node gets the node's address as source, or answers would miss it.
func withoutIPv6(in Inputs, m machine) *plan.Finding {
	own := slices.ContainsFunc(m.Addresses, func(text string) bool {
		a, err := netip.ParseAddr(text)
		return err == nil && a.Is6()
	})
	if own || !m.legs[v1alpha1.IPv6] || !servesIPv6(in) {
		return nil
	}
	remedy := "give the node's primary interface an IPv6 address"
	if in.Inventory.Provider == v1alpha1.ProviderAWS {
		remedy += ": `aws ec2 assign-ipv6-addresses --network-interface-id eni-… --ipv6-address-count 1`, and let the host take it by DHCPv6"
	}
	return &plan.Finding{ID: idNodeWithoutIPv6, Severity: plan.Warning,
		Message: "the node has no IPv6 address of its own, so its pods reach no service by IPv6", Remedy: remedy}
}

// servesIPv6 says whether the cluster's services have IPv6 addresses.
func servesIPv6(in Inputs) bool {
	if in.Cluster == nil {
		return false
	}
	for i := range in.Cluster.Networks {
		for _, text := range in.Cluster.Networks[i].Status.ServiceCIDRs {
			if cidr, err := netip.ParsePrefix(text); err == nil && cidr.Addr().Is6() {
				return true
			}
		}
	}
	return false
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// seen lets the agent of the first node tell of a machine with which nothing is wrong, but for the change.
func seen(change func(s *situation, h *v1alpha1.NodeHost)) func(*situation) {
	return func(s *situation) {
		h := &v1alpha1.NodeHost{Addresses: []string{"10.0.0.4", "2001:db8:7::4"}, KubeProxyMode: "nftables", ARPIgnore: 1}
		s.inv.Nodes[0].Host = h
		change(s, h)
	}
}

// chosen is a network of the user's, with the first interface of each node.
func chosen(s *situation, change func(*v1alpha1.UnderlayNetworkSpec)) {
	s.networks = []v1alpha1.UnderlayNetwork{network("a", change)}
}

func noLegs(n *v1alpha1.UnderlayNetworkSpec) { n.HostAccess = &v1alpha1.HostAccess{Enabled: new(bool)} }

func metadata(mode v1alpha1.MetadataMode, except ...string) func(*v1alpha1.UnderlayNetworkSpec) {
	return func(n *v1alpha1.UnderlayNetworkSpec) {
		n.MetadataService = &v1alpha1.MetadataService{Mode: mode, ExceptNamespaces: except}
	}
}

func hostCases() []checkCase {
	const node = "node/node-0000"
	services := func(s *situation, cidrs ...string) {
		s.cluster.Networks = []v1alpha1.UnderlayNetwork{network("a", nil)}
		s.cluster.Networks[0].Status.ServiceCIDRs = cidrs
	}
	return []checkCase{
		{
			id: idAddressClaimedByHost, severity: plan.Warning, object: node, says: "no pod gets them: 10.0.77.7",
			bad: seen(func(s *situation, h *v1alpha1.NodeHost) {
				s.nic(0).SecondaryIPv4 = []netip.Addr{netip.MustParseAddr("10.0.77.7")}
				h.Addresses = append(h.Addresses, "10.0.77.7")
			}),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				h.Addresses = append(h.Addresses, s.nic(0).PrimaryIPv4.String(), "192.168.1.1") // its own, and another network's
			}),
		},
		{
			id: idAddressClaimedByHost, severity: plan.Warning, object: node, says: "no pod gets them",
			bad: seen(func(s *situation, h *v1alpha1.NodeHost) {
				h.Addresses = append(h.Addresses, s.nic(0).IPv6Prefixes[0].Addr().Next().String())
			}),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				h.Addresses = append(h.Addresses, s.nic(0).IPv6Prefixes[0].Addr().Prev().String())
			}),
		},
		{
			id: idARPIgnored, severity: plan.Warning, object: node, says: "arp_ignore is 8, which pods inherit",
			bad:  seen(func(_ *situation, h *v1alpha1.NodeHost) { h.ARPIgnore = 8 }),
			good: seen(func(_ *situation, h *v1alpha1.NodeHost) { h.ARPIgnore = 2 }),
		},
		{
			id: idARPIgnored, severity: plan.Warning, object: node, says: "arp_ignore is 4",
			bad: seen(func(_ *situation, h *v1alpha1.NodeHost) { h.ARPIgnore = 4 }),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				s.nic(0).IPv4Prefixes, h.ARPIgnore = nil, 4 // no pod of IPv4
			}),
		},
		{
			id: idForeignCNIConfiguration, severity: plan.Error, object: node, says: "network a is the node's default, but runtimes take /etc/cni/net.d/00-other.conf first",
			bad: seen(func(s *situation, h *v1alpha1.NodeHost) {
				chosen(s, func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true })
				h.ForeignCNIConfiguration = "00-other.conf"
			}),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				chosen(s, nil)
				h.ForeignCNIConfiguration = "00-other.conf"
			}),
		},
		{
			id: idKernelModuleMissing, severity: plan.Error, object: node, says: "no cls_bpf, sch_tbf, so these cannot start: pods, pods with limited bandwidth",
			bad:  seen(func(_ *situation, h *v1alpha1.NodeHost) { h.MissingModules = []string{"cls_bpf", "sch_tbf"} }),
			good: seen(func(*situation, *v1alpha1.NodeHost) {}),
		},
		{
			id: idKernelModuleMissing, severity: plan.Warning, object: node, says: "no ifb, so these cannot start: pods with limited bandwidth",
			bad: seen(func(_ *situation, h *v1alpha1.NodeHost) { h.MissingModules = []string{"ifb"} }),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				h.MissingModules = []string{"ifb"}
				s.nic(0).IPv4Prefixes, s.nic(0).IPv6Prefixes = nil, nil // no pods
			}),
		},
		{
			id: idKernelModuleMissing, severity: plan.Error, object: node, says: "no nf_tables, so these cannot start: pods with host access",
			bad: seen(func(_ *situation, h *v1alpha1.NodeHost) { h.MissingModules = []string{"nf_tables"} }),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				chosen(s, noLegs)
				h.MissingModules = []string{"nf_tables", "veth"}
			}),
		},
		{
			id: idKernelModuleMissing, severity: plan.Error, object: node, says: "no act_csum, so these cannot start: pods without metadata service",
			bad: seen(func(s *situation, h *v1alpha1.NodeHost) {
				chosen(s, metadata(v1alpha1.MetadataAllow, "kube-system"))
				h.MissingModules = []string{"act_csum"}
			}),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				chosen(s, metadata(v1alpha1.MetadataAllow))
				h.MissingModules = []string{"act_csum"}
			}),
		},
		{
			id: idKubeProxyMode, severity: plan.Warning, object: node, says: "mode ipvs, which is not tested",
			bad:  seen(func(_ *situation, h *v1alpha1.NodeHost) { h.KubeProxyMode = "ipvs" }),
			good: seen(func(_ *situation, h *v1alpha1.NodeHost) { h.KubeProxyMode = "iptables" }),
		},
		{
			id: idKubeProxyMode, severity: plan.Info, object: node, says: "no kube-proxy answers",
			bad: seen(func(_ *situation, h *v1alpha1.NodeHost) { h.KubeProxyMode = "" }),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				chosen(s, noLegs)
				h.KubeProxyMode = ""
			}),
		},
		{
			id: idNodeWithoutIPv6, severity: plan.Warning, object: node, says: "no IPv6 address of its own",
			bad: seen(func(s *situation, h *v1alpha1.NodeHost) {
				services(s, "10.96.0.0/12", "2001:db8:96::/112")
				h.Addresses = h.Addresses[:1]
			}),
			good: seen(func(s *situation, h *v1alpha1.NodeHost) {
				services(s, "10.96.0.0/12") // nothing to reach
				h.Addresses = h.Addresses[:1]
			}),
		},
		{
			id: idNodeWithoutIPv6, severity: plan.Warning, object: node, says: "no IPv6 address of its own",
			bad: seen(func(s *situation, h *v1alpha1.NodeHost) {
				services(s, "2001:db8:96::/112")
				h.Addresses = nil
			}),
			good: seen(func(s *situation, _ *v1alpha1.NodeHost) { services(s, "2001:db8:96::/112") }),
		},
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// ObserveAddresses reads what another cluster has to know of this one: its nodes, networks and pools, and the networks
// that it uses inside itself. It takes fewer permissions than Observe.
func (c *Cluster) ObserveAddresses(ctx context.Context) (Observation, error) {
	var seen Observation
	for _, read := range []func(context.Context, *Observation) error{c.readNodes, c.readOwn, c.ReadServiceCIDRs} {
		if err := read(ctx, &seen); err != nil {
			return Observation{}, err
		}
	}
	return seen, nil
}

// ReadServiceCIDRs adds the cluster's service CIDRs to what was observed: those of its objects, or, where an API server
// before 1.33 does not serve these, what the operator has found for the networks.
func (c *Cluster) ReadServiceCIDRs(ctx context.Context, seen *Observation) error {
	var texts []string
	served, err := c.serves(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"))
	if err != nil {
		return err
	}
	if served {
		var list networkingv1.ServiceCIDRList
		if err := c.client.List(ctx, &list); err != nil {
			return fmt.Errorf("list service CIDRs: %w", explain(c.host, err))
		}
		for i := range list.Items {
			texts = append(texts, list.Items[i].Spec.CIDRs...)
		}
	}
	for i := range seen.Networks {
		texts = append(texts, seen.Networks[i].Status.ServiceCIDRs...)
	}
	seen.ServiceCIDRs = prefixes(texts)
	return nil
}

// prefixes reads CIDRs, sorted and each once.
func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p.Masked())
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

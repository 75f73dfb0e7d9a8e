// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "slices"

// Effective is the spec with a value for every optional field: what the API server would default, and the attachment,
// whose name follows the network's. Planner, operator and agent read this, so that a network from a file means what
// it means in a cluster. A test holds it against the CRD's defaults.
func (n *UnderlayNetwork) Effective() UnderlayNetworkSpec {
	spec := *n.Spec.DeepCopy()
	fill(&spec.Provider, ProviderAWS)
	if len(spec.IPFamilies) == 0 {
		spec.IPFamilies = []IPFamily{IPv4, IPv6}
	}
	if len(spec.AddressSources) == 0 {
		spec.AddressSources = []AddressSource{SourcePrefix, SourceSecondaryIP}
	}
	if spec.Attachment == nil {
		spec.Attachment = &AttachmentReference{Name: "ipvlan-" + n.Name}
	}
	fill(&spec.Attachment.Namespace, "kube-system")
	if spec.HostAccess == nil {
		spec.HostAccess = &HostAccess{}
	}
	fillPointer(&spec.HostAccess.Enabled, true)
	fillPointer(&spec.CooldownSeconds, 30)
	fill(&spec.RequestedIPs, RequestedIPsDeny)
	if spec.MetadataService == nil {
		spec.MetadataService = &MetadataService{ExceptNamespaces: []string{"kube-system"}}
	}
	fill(&spec.MetadataService.Mode, MetadataBlock)
	if spec.Provisioning == nil {
		spec.Provisioning = &Provisioning{}
	}
	fill(&spec.Provisioning.Mode, Observe)
	fillPointer(&spec.Provisioning.MinFree, 8)
	fillPointer(&spec.Provisioning.MaxFree, 32)
	return spec
}

// Has says whether the network uses addresses of the family and source.
func (s *UnderlayNetworkSpec) Has(family IPFamily, source AddressSource) bool {
	return slices.Contains(s.IPFamilies, family) && slices.Contains(s.AddressSources, source)
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func fillPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

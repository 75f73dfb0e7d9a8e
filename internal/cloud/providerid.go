// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import "strings"

// ProviderID is a node's spec.providerID, taken apart.
type ProviderID struct {
	// Zone such as eu-central-1a; often absent.
	Zone string
	// InstanceID such as i-0a1b; empty for what is no instance of ours, such as a Fargate pod.
	InstanceID string
}

// ParseProviderID takes a providerID apart. It reports false when the providerID says nothing about AWS: it is empty,
// or another scheme's, as k3s://name. Forms in use are aws:///zone/i-…, aws://zone/i-…, aws:///i-…, aws://i-… and the
// bare i-….
func ParseProviderID(providerID string) (ProviderID, bool) {
	path, isAWS := strings.CutPrefix(providerID, "aws://")
	if !isAWS {
		return ProviderID{InstanceID: providerID}, isInstanceID(providerID)
	}
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(parts) == 0 {
		return ProviderID{}, true
	}
	var id ProviderID
	if last := parts[len(parts)-1]; isInstanceID(last) {
		id.InstanceID = last
		parts = parts[:len(parts)-1]
	}
	if len(parts) > 0 {
		id.Zone = parts[0]
	}
	return id, true
}

func isInstanceID(s string) bool {
	rest, ok := strings.CutPrefix(s, "i-")
	return ok && rest != "" && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

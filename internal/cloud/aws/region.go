// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"regexp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// Labels that cloud controllers and kubelets put on nodes.
const (
	regionLabel = "topology.kubernetes.io/region"
	zoneLabel   = "topology.kubernetes.io/zone"
)

// nodeRegion is the region that most nodes name, by label or by the zone in their providerID; of several the first in
// the alphabet. Empty when none does.
func nodeRegion(nodes []v1alpha1.Node) string {
	pattern := regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+`)
	votes := map[string]int{}
	for _, node := range nodes {
		if region := regionOf(pattern, node); region != "" {
			votes[region]++
		}
	}
	best := ""
	for region, count := range votes {
		if count > votes[best] || count == votes[best] && region < best {
			best = region
		}
	}
	return best
}

// regionOf cuts a node's zone down to its region: eu-central-1a, and local and wavelength zones such as
// us-west-2-lax-1a and us-east-1-wl1-bos-wlz-1. A region label of another cloud's form is passed over.
func regionOf(pattern *regexp.Regexp, node v1alpha1.Node) string {
	if region := node.Labels[regionLabel]; region != "" && pattern.FindString(region) == region {
		return region
	}
	id, _ := cloud.ParseProviderID(node.ProviderID)
	for _, zone := range []string{id.Zone, node.Labels[zoneLabel]} {
		if region := pattern.FindString(zone); region != "" {
			return region
		}
	}
	return ""
}

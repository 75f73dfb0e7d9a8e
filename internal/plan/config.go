// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// cniType is the name of the CNI binary.
const cniType = "underlay"

// cniConfig is the configuration that Multus hands to the CNI, in the order in which it is printed.
type cniConfig struct {
	CNIVersion   string          `json:"cniVersion"`
	CNIVersions  []string        `json:"cniVersions"`
	Name         string          `json:"name"`
	Type         string          `json:"type"`
	Network      string          `json:"network"`
	Capabilities map[string]bool `json:"capabilities"`
}

// config is the CNI configuration of the network: its name, and no more. Everything else is on the node already.
func (n *network) config() string {
	c := cniConfig{
		CNIVersion:   "1.0.0",
		CNIVersions:  []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"},
		Name:         n.Name,
		Type:         cniType,
		Network:      n.Name,
		Capabilities: map[string]bool{"bandwidth": true},
	}
	if n.spec.RequestedIPs == v1alpha1.RequestedIPsAllow {
		c.Capabilities["ips"] = true
	}
	raw, _ := json.Marshal(c) // strings and booleans: it cannot fail
	return string(raw)
}

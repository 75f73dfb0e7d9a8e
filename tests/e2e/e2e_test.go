// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import "testing"

// TestCluster is the whole list. The names of its cases are fixed: reports are compared by them.
func TestCluster(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T)
		// needed by all that come after it
		needed bool
	}{
		{"nodes are not ready without a CNI", s.notReady, true},
		{"init makes the nodes ready", s.initialize, true},
		{"init again changes nothing", s.initializeAgain, false},
		{"pools and attachment are as in the document", s.poolsAsDocumented, true},
		{"status says that all is well", s.status, false},
		{"check finds no error", s.check, false},
		{"two replicas run, one per node, with addresses of their node", s.deploy, true},
		{"pod to its own host", s.podToOwnHost, false},
		{"pod to the other host", s.podToOtherHost, false},
		{"host to its own pod and to the other", s.hostToPod, false},
		{"pod to pod across subnets", s.podToPod, false},
		{"ClusterIP by kube-proxy", s.clusterIP, false},
		{"node ports, host ports and a pod's own service", s.services, false},
		{"the same by kube-proxy in iptables mode", s.servicesByIptables, false},
		{"egress through the NAT gateway", s.egress, false},
		{"probes by HTTP, TCP and exec", s.probes, false},
		{"a node whose pods hold all addresses loses its power and boots", s.powerCut, false},
		{"an added prefix appears in the pool by itself", s.addPrefix, false},
		{"forty pods come and go", s.crowd, false},
		{"pods start and stop without API server, operator and agent", s.alone, false},
		{"uninstall refuses while pods hold addresses", s.uninstallRefused, false},
		{"uninstall leaves nothing behind", s.uninstall, false},
	} {
		if !t.Run(c.name, c.run) && c.needed {
			return
		}
	}
}

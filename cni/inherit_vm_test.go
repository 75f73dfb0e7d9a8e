// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"os"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// TestARPIgnoreIsInherited by pods, which is why there is a check of it: as kube-proxy sets it they answer, and with 8 they do not.
func TestARPIgnoreIsInherited(t *testing.T) {
	const setting = "/proc/sys/net/ipv4/conf/all/arp_ignore"
	before, err := os.ReadFile(setting)
	must(t, err)
	t.Cleanup(func() { must(t, os.WriteFile(setting, before, 0)) })
	for _, c := range []struct {
		name, value string
		answers     bool
	}{{"strict ARP", "1", true}, {"same subnet", "2", true}, {"nothing answered", "8", false}} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.WriteFile(setting, []byte(c.value), 0))
			n := newWorld(t).addNode(t, "master", primary("a"), master())
			one, other := n.addPod(t, "ens6"), n.addPod(t, "ens6")
			wait := lost
			if c.answers {
				wait = probe.Timeout
			}
			if err := probe.Ping(one.Namespace, one.v4, other.v4, small, wait); (err == nil) != c.answers {
				t.Errorf("arp_ignore=%s: %v", c.value, err)
			}
		})
	}
}

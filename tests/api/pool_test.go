// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

func pool() m {
	return m{
		"apiVersion": "underlay.dev/v1alpha1", "kind": "UnderlayPool", "metadata": m{"name": "ens6.1.v4.worker1"},
		"spec": m{
			"networkName": "ens6", "nodeName": "worker1", "ipFamily": "IPv4",
			"interface": m{"id": "eni-0a", "macAddress": "02:00:00:00:10:01", "deviceIndex": 1, "networkCardIndex": 0},
			"subnet":    "172.31.32.0/24", "gateway": "172.31.32.1", "ranges": []string{"172.31.32.176/28"},
		},
	}
}

func TestPoolRules(t *testing.T) {
	cases := append(poolNameCases(), poolAddressCases()...)
	testRules(t, "testdata/pools.golden", pool(), cases, false)
}

func poolNameCases() []ruleCase {
	nic := func(fields m) m { return spec(m{"interface": fields}) }
	return []ruleCase{
		ok("as the operator writes it", nil),
		no("no networkName", spec(m{"networkName": nil})),
		no("empty networkName", spec(m{"networkName": ""})),
		no("networkName with a dot", spec(m{"networkName": "ens6.1"})),
		ok("networkName of 40 characters", spec(m{"networkName": strings.Repeat("a", 40)})),
		no("networkName of 41 characters", spec(m{"networkName": strings.Repeat("a", 41)})),
		no("no nodeName", spec(m{"nodeName": nil})),
		no("empty nodeName", spec(m{"nodeName": ""})),
		no("nodeName with a space", spec(m{"nodeName": "worker 1"})),
		ok("nodeName of EC2", spec(m{"nodeName": "ip-10-0-0-1.eu-central-1.compute.internal"})),
		no("nodeName too long", spec(m{"nodeName": strings.Repeat("a", 254)})),
		no("no interface", spec(m{"interface": nil})),
		no("interface without a MAC address", nic(m{"macAddress": nil})),
		no("MAC address in upper case", nic(m{"macAddress": "02:00:00:00:10:0A"})),
		no("MAC address with hyphens", nic(m{"macAddress": "02-00-00-00-10-01"})),
		no("MAC address too long", nic(m{"macAddress": "02:00:00:00:10:01:02:03"})),
		no("device index below 0", nic(m{"deviceIndex": -1})),
		no("network card below 0", nic(m{"networkCardIndex": -1})),
		ok("interface without an id", nic(m{"id": nil})),
		no("id of the interface too long", nic(m{"id": strings.Repeat("a", 64)})),
		no("unknown field of the interface", nic(m{"mac": "02:00:00:00:10:01"})),
		no("no ipFamily", spec(m{"ipFamily": nil})),
		no("unknown ipFamily", spec(m{"ipFamily": "v4"})),
		ok("disabled", spec(m{"allocation": "Disabled"})),
		no("unknown state of allocation", spec(m{"allocation": "Off"})),
	}
}

func poolAddressCases() []ruleCase {
	ipv6 := func(fields m) m {
		return spec(merge(m{
			"ipFamily": "IPv6", "subnet": "2406:da1e:c4:ed02::/64", "gateway": "fe80:ec2::1",
			"ranges": []string{"2406:da1e:c4:ed02:7a2e::/80"},
		}, fields))
	}
	ranges := func(list ...string) m { return spec(m{"ranges": list}) }
	return []ruleCase{
		ok("IPv6", ipv6(nil)),
		ok("gateway inside an IPv6 subnet", ipv6(m{"gateway": "2406:da1e:c4:ed02::1"})),
		no("no subnet", spec(m{"subnet": nil})),
		no("subnet of the other family", ipv6(m{"subnet": "172.31.32.0/24", "ranges": []string{}})),
		no("subnet with host bits", spec(m{"subnet": "172.31.32.1/24"})),
		no("subnet too long", spec(m{"subnet": strings.Repeat("1", 50)})),
		no("no gateway", spec(m{"gateway": nil})),
		no("gateway of the other family", spec(m{"gateway": "fe80:ec2::1"})),
		no("gateway of the other family in IPv6", ipv6(m{"gateway": "172.31.32.1"})),
		no("gateway outside the subnet", spec(m{"gateway": "172.31.33.1"})),
		no("gateway that is none", spec(m{"gateway": "172.31.32"})),
		no("gateway too long", spec(m{"gateway": strings.Repeat("1", 46)})),
		no("no ranges", spec(m{"ranges": nil})),
		ok("empty ranges", ranges([]string{}...)),
		ok("ranges: a network, a range, an address", ranges("172.31.32.176/28", "172.31.32.4-172.31.32.9", "172.31.32.10")),
		ok("128 ranges", ranges(inSubnet(128)...)),
		no("129 ranges", ranges(inSubnet(129)...)),
		ok("128 ranges of IPv6", ipv6(m{"ranges": longRanges(128)})),
		no("129 ranges of IPv6", ipv6(m{"ranges": longRanges(129)})),
		ok("128 ranges, excluded and draining each, of IPv6", ipv6(m{
			"ranges": longRanges(128), "exclude": longRanges(128), "draining": longRanges(128),
		})),
		no("range larger than the subnet", ranges("172.31.32.0/23")),
		no("range that begins outside the subnet", ranges("172.31.31.250-172.31.32.9")),
		no("range that ends outside the subnet", ranges("172.31.32.250-172.31.33.9")),
		no("address outside the subnet", ranges("172.31.32.9", "172.31.33.9")),
		no("range of the other family", ranges("fd00::1")),
		no("network with host bits", ranges("172.31.32.177/28")),
		no("range of two families", ranges("172.31.32.4-fd00::1")),
		no("word as a range", ranges("all")),
		no("range too long", ranges(strings.Repeat("1", 92))),
		no("excluded word", spec(m{"exclude": []string{"all"}})),
		no("excluded text too long", spec(m{"exclude": []string{strings.Repeat("1", 92)}})),
		no("draining text too long", spec(m{"draining": []string{strings.Repeat("1", 92)}})),
		no("129 excluded", spec(m{"exclude": inSubnet(129)})),
		no("draining word", spec(m{"draining": []string{"all"}})),
		no("129 draining", spec(m{"draining": inSubnet(129)})),
		no("unknown field", spec(m{"range": []string{}})),
	}
}

// inSubnet gives addresses of the pool's subnet.
func inSubnet(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("172.31.32.%d", i))
	}
	return list
}

// longRanges gives IPv6 ranges written as long as they can be.
func longRanges(n int) []string {
	const first = "2406:da1e:00c4:ed02:7a2e:0000:0000:%04x"
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(first+"-"+first, 2*i, 2*i+1))
	}
	return list
}

// TestPoolImmutability changes what must not change, and what may.
func TestPoolImmutability(t *testing.T) {
	api := newClient(t)
	stored := object(pool(), m{"metadata": m{"name": "immutable"}})
	if err := api.Create(t.Context(), stored); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, api, stored) })
	var words strings.Builder
	for _, c := range []ruleCase{
		no("other network", spec(m{"networkName": "ens7"})),
		no("other node", spec(m{"nodeName": "worker2"})),
		no("other family", spec(m{"ipFamily": "IPv6", "subnet": "fd00::/64", "gateway": "fe80::1", "ranges": []string{}})),
		ok("other interface", spec(m{"interface": m{"id": "eni-0b", "macAddress": "02:00:00:00:10:02"}})),
		ok("other ranges", spec(m{"ranges": []string{}, "draining": []string{"172.31.32.176/28"}})),
		ok("other subnet", spec(m{"subnet": "172.31.0.0/16", "gateway": "172.31.0.1"})),
	} {
		t.Run(c.name, func(t *testing.T) {
			refusals := reasons(t, api.Update(t.Context(), object(stored.Object, c.object), client.DryRunAll))
			if c.refused != (len(refusals) > 0) {
				t.Errorf("refused: %t, want %t: %s", len(refusals) > 0, c.refused, refusals)
			}
			for _, line := range refusals {
				fmt.Fprintf(&words, "%s\n  server: %s\n", c.name, line)
			}
		})
	}
	goldenfile.Compare(t, "testdata/immutability.golden", words.String(), *update)
}

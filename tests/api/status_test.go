// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"testing"
)

// TestStatusRules holds the rules of what operator and agent write, by way of the status subresource.
func TestStatusRules(t *testing.T) {
	condition := func(fields m) m {
		return m{"conditions": []m{merge(m{
			"type": "Ready", "status": "True", "reason": "AsPlanned", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
		}, fields)}}
	}
	networkStatus := []ruleCase{
		ok("usage", m{"capacity": 1<<53 - 1, "allocated": 1, "available": 2, "nodes": 3, "pools": 4}),
		no("more capacity than JSON can count", m{"capacity": 1 << 53}),
		no("capacity below 0", m{"capacity": -1}),
		no("allocated below 0", m{"allocated": -1}),
		no("available below 0", m{"available": -1}),
		ok("condition", condition(nil)),
		no("condition without a reason", condition(m{"reason": nil})),
		no("condition with a sentence as reason", condition(m{"reason": "as planned"})),
		no("condition twice", m{"conditions": []any{
			condition(nil)["conditions"].([]m)[0], condition(nil)["conditions"].([]m)[0]}}), //nolint:errcheck // made above
		no("unknown field", m{"free": 1}),
	}
	poolStatus := []ruleCase{
		ok("usage", m{"capacity": 1<<53 - 1, "allocated": 1, "available": 2, "cooling": 3}),
		no("cooling below 0", m{"cooling": -1}),
		no("more capacity than JSON can count", m{"capacity": 1 << 53}),
		no("condition twice", m{"conditions": []any{
			condition(nil)["conditions"].([]m)[0], condition(nil)["conditions"].([]m)[0]}}), //nolint:errcheck // made above
	}
	link := m{"name": "ens5", "macAddress": "02:00:00:00:10:01", "mtu": 9001, "up": true, "ipvlan": true}
	used := m{"name": "ens6.1.v4.worker1", "observedGeneration": 1, "allocated": 2, "cooling": 3, "drained": []string{"172.31.32.176/28"}}
	nodeStatus := []ruleCase{
		ok("what an agent writes", m{
			"kernelVersion": "6.1.0", "bootID": "x", "agentVersion": "v1", "links": []m{link}, "pools": []m{used},
		}),
		no("link without a name", m{"links": []m{merge(link, m{"name": nil})}}),
		no("pool twice", m{"pools": []m{used, used}}),
		no("pool without a name", m{"pools": []m{merge(used, m{"name": nil})}}),
		no("unknown field of a link", m{"links": []m{merge(link, m{"speed": 1})}}),
	}
	for _, kind := range []struct {
		name  string
		base  m
		cases []ruleCase
	}{
		{"networks", network(), networkStatus}, {"pools", pool(), poolStatus}, {"nodes", node("worker1"), nodeStatus},
	} {
		t.Run(kind.name, func(t *testing.T) {
			testStatusRules(t, "testdata/"+kind.name+"-status.golden", merge(kind.base, m{"metadata": m{"name": "status"}}), kind.cases)
		})
	}
}

func node(name string) m {
	return m{"apiVersion": "underlay.dev/v1alpha1", "kind": "UnderlayNode", "metadata": m{"name": name}}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/internal/plan/plantest"
)

// largeWorld is a settled cluster of so many nodes, with four pools and a report each.
func largeWorld(nodes int) (*world, *thought) {
	inventory := plantest.Inventory(plantest.Uniform(nodes, plantest.DualStack()))
	w := &world{networks: map[string]*v1alpha1.UnderlayNetwork{}, pools: map[string]*v1alpha1.UnderlayPool{}, reports: map[string]*v1alpha1.UnderlayNode{}}
	made, _ := plan.For(plan.Inputs{Inventory: inventory, Propose: true})
	for i := range made.Networks {
		w.networks[made.Networks[i].Name] = &made.Networks[i]
	}
	t := &thought{observed: true, pools: map[string]*v1alpha1.UnderlayPool{}, nodes: map[string]nodeFacts{}}
	for i := range inventory.Nodes {
		n := &inventory.Nodes[i]
		t.nodes[n.Name] = nodeFacts{uid: n.UID, seen: true}
		w.reports[n.Name] = &v1alpha1.UnderlayNode{}
	}
	for i := range made.Pools {
		p := &made.Pools[i]
		t.pools[p.Name] = p
		live := p.DeepCopy()
		live.Generation = 1
		w.pools[p.Name] = live
		node := w.reports[p.Spec.NodeName]
		node.Status.Pools = append(node.Status.Pools, v1alpha1.NodePool{Name: p.Name, ObservedGeneration: 1})
	}
	outcomes := decide(w, t, &memory{}, time.Unix(1, 0), time.Minute)
	for i := range outcomes {
		outcomes[i].live.Status = outcomes[i].status(outcomes[i].live)
	}
	return w, t
}

// TestSettledPassWritesNothing: a large cluster in which nothing changes.
func TestSettledPassWritesNothing(t *testing.T) {
	w, planned := largeWorld(50)
	for _, out := range decide(w, planned, &memory{}, time.Unix(100, 0), time.Minute) {
		if (&operator{}).differs(&out) {
			t.Errorf("pool %s would be written: %+v", out.live.Name, out)
		}
	}
}

// BenchmarkPass is what a report of one agent costs on 5,000 nodes, beyond listing the cache.
func BenchmarkPass(b *testing.B) {
	w, planned := largeWorld(5000)
	o, m := &operator{}, &memory{}
	for b.Loop() {
		outcomes := decide(w, planned, m, time.Unix(100, 0), time.Minute)
		for i := range outcomes {
			if o.differs(&outcomes[i]) {
				b.Fatal("it would write")
			}
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// The forms in which a plan can be written.
const (
	forUnderlay   = "underlay"
	forSpiderpool = "spiderpool"
)

// proposal is what a command would make of the world.
type proposal struct {
	world    *world
	plan     plan.Plan
	findings []plan.Finding
	// objects in the order in which they are applied.
	objects []*unstructured.Unstructured
	// remove holds live objects that are no longer wanted.
	remove []*unstructured.Unstructured
}

// target says for whom objects are made.
type target struct {
	name      string
	ipv6Limit int
}

// propose plans for the target and checks the plan.
func (w *world) propose(to target) (*proposal, error) {
	p, planned := w.plan()
	out := &proposal{world: w, plan: p}
	if to.name == forSpiderpool {
		objects, findings := plan.Spiderpool(p, w.inventory, plan.SpiderpoolOptions{IPv6Limit: to.ipv6Limit})
		out.objects = objects
		out.findings = w.check(p, append(planned, findings...), nil)
		return out, nil
	}
	crds, err := manifests.CRDs()
	if err != nil {
		return nil, err
	}
	out.objects = slices.Concat(crds, p.Objects())
	out.findings = w.check(p, planned, nil)
	out.remove, err = kube.Objects(w.stale(p))
	return out, err
}

// stale are the derived pools of planned networks which are no longer planned. A pool whose addresses are held stays,
// since its pods would lose them to others, and so do the pools of a node whose interfaces could not be seen.
func (w *world) stale(p plan.Plan) []v1alpha1.UnderlayPool {
	unseen := map[string]bool{}
	for _, node := range w.inventory.Nodes {
		unseen[node.Name] = len(node.Interfaces) == 0
	}
	derived := map[string]bool{}
	for _, network := range p.Networks {
		derived[network.Name] = network.Spec.Provider != v1alpha1.ProviderManual
	}
	planned := map[string]bool{}
	for _, pool := range p.Pools {
		planned[pool.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(w.seen.Pools), func(pool v1alpha1.UnderlayPool) bool {
		return !derived[pool.Spec.NetworkName] || planned[pool.Name] || unseen[pool.Spec.NodeName] || pool.Status.Allocated > 0
	})
}

// blocked says why nothing should be written: what would be written could not be used, or would be wrong.
func (p *proposal) blocked() error {
	if len(p.plan.Networks) == 0 {
		return fmt.Errorf("no interface holds addresses for pods: assign a prefix or secondary addresses to the nodes' interfaces, " +
			"or choose interfaces with --network FILE; `kubectl underlay inspect` shows what is there")
	}
	uids := map[string]types.UID{}
	for _, node := range p.world.inventory.Nodes {
		uids[node.Name] = node.UID
	}
	for _, node := range p.world.seen.Nodes {
		if known := uids[node.Name]; known != "" && known != node.UID {
			return fmt.Errorf("node %s was created anew since the inventory was taken; take it again with `kubectl underlay inspect -o yaml`", node.Name)
		}
	}
	return nil
}

// changes compares the proposal with the cluster; without a cluster everything is new.
func (p *proposal) changes(ctx context.Context, force bool) ([]plan.Change, error) {
	if p.world.cluster == nil {
		return plan.Diff(nil, p.objects), nil
	}
	before, after, err := p.world.cluster.Preview(ctx, p.objects, p.world.seen.Pools, force)
	if err != nil {
		return nil, err
	}
	return plan.Diff(append(before, p.remove...), after), nil
}

// pending says whether anything is to be done.
func pending(changes []plan.Change) bool {
	return slices.ContainsFunc(changes, func(c plan.Change) bool { return c.Action != plan.Unchanged })
}

// report tells findings beside the data; nothing is said where there are none.
func (g *global) report(findings []plan.Finding) {
	if len(findings) > 0 {
		g.chatter().Findings(findings)
	}
}

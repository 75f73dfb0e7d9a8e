// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// world is the cluster as one pass sees it. What comes from the cache is shared and never changed.
type world struct {
	networks map[string]*v1alpha1.UnderlayNetwork
	pools    map[string]*v1alpha1.UnderlayPool
	reports  map[string]*v1alpha1.UnderlayNode
}

// observe lists the cluster from the cache.
func (o *operator) observe(ctx context.Context) (*world, error) {
	var networks v1alpha1.UnderlayNetworkList
	var pools v1alpha1.UnderlayPoolList
	var reports v1alpha1.UnderlayNodeList
	for _, err := range []error{o.client.List(ctx, &networks), o.client.List(ctx, &pools), o.client.List(ctx, &reports)} {
		if err != nil {
			return nil, fmt.Errorf("list from the cache: %w", err)
		}
	}
	w := &world{
		networks: make(map[string]*v1alpha1.UnderlayNetwork, len(networks.Items)),
		pools:    make(map[string]*v1alpha1.UnderlayPool, len(pools.Items)),
		reports:  make(map[string]*v1alpha1.UnderlayNode, len(reports.Items)),
	}
	for i := range networks.Items {
		w.networks[networks.Items[i].Name] = &networks.Items[i]
	}
	for i := range pools.Items {
		w.pools[pools.Items[i].Name] = &pools.Items[i]
	}
	for i := range reports.Items {
		w.reports[reports.Items[i].Name] = &reports.Items[i]
	}
	return w, nil
}

// report of the node's agent about the pool; nil if there is none. agent says whether the node has an agent at all.
func (w *world) report(pool *v1alpha1.UnderlayPool) (report *v1alpha1.NodePool, agent bool) {
	node := w.reports[pool.Spec.NodeName]
	if node == nil {
		return nil, false
	}
	for i := range node.Status.Pools {
		if node.Status.Pools[i].Name == pool.Name {
			return &node.Status.Pools[i], true
		}
	}
	return nil, true
}

// nodes lists the cluster's nodes as an inventory has them.
func (o *operator) nodes(ctx context.Context) ([]v1alpha1.Node, error) {
	var list corev1.NodeList
	if err := o.client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list nodes from the cache: %w", err)
	}
	out := make([]v1alpha1.Node, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, kube.Node(&list.Items[i]))
	}
	return out, nil
}

// thought is what the planner made of networks, nodes and cloud. It is kept until one of them changes.
type thought struct {
	// intent and number tell what it was made of.
	intent uint64
	number int
	// observed: the cloud has answered at least once. Until then nothing is planned.
	observed    bool
	pools       map[string]*v1alpha1.UnderlayPool
	attachments []plan.Attachment
	// amiss are attachments that could not be made, by reference: they are tried again with the next thought.
	amiss map[v1alpha1.AttachmentReference]attachmentState
	// findings about each network.
	findings map[string][]plan.Finding
	nodes    map[string]nodeFacts
	// site that pools written by users are held against.
	site *plan.Site
}

// nodeFacts is what pools need to know of their node.
type nodeFacts struct {
	uid types.UID
	// seen: the cloud has shown the node's instance.
	seen bool
	// interfaces that the cloud has shown, by id.
	interfaces []string
}

// think plans, unless nothing has changed since the last time.
func (o *operator) think(ctx context.Context, w *world, seen observation) error {
	intent := o.intent.Load()
	if o.last != nil && o.last.intent == intent && o.last.number == seen.number {
		return nil
	}
	nodes, err := o.nodes(ctx)
	if err != nil {
		return err
	}
	t := &thought{intent: intent, number: seen.number, observed: !seen.begun.IsZero(),
		pools: map[string]*v1alpha1.UnderlayPool{}, findings: map[string][]plan.Finding{}, nodes: map[string]nodeFacts{},
		amiss: map[v1alpha1.AttachmentReference]attachmentState{}, site: plan.NewSite(w.networks, nodes, w.agentReports())}
	others, err := kube.OtherIPAM(ctx, o.direct)
	if err != nil {
		return err
	}
	inventory := cloud.Join(nodes, seen.snapshot)
	cloud.WithReports(&inventory, w.agentReports())
	inventory.OtherIPAM = others
	for i := range inventory.Nodes {
		n := &inventory.Nodes[i]
		facts := nodeFacts{uid: n.UID, seen: n.InstanceID != ""}
		for j := range n.Interfaces {
			facts.interfaces = append(facts.interfaces, n.Interfaces[j].ID)
		}
		t.nodes[n.Name] = facts
	}
	made, findings := plan.For(plan.Inputs{Inventory: inventory, Networks: w.wanted()})
	t.attachments = made.Attachments
	if t.observed {
		for i := range made.Pools {
			t.pools[made.Pools[i].Name] = &made.Pools[i]
		}
	}
	for _, f := range findings {
		if t.observed || f.ID == plan.IDNetworkInvalid {
			t.findings[f.Object] = append(t.findings[f.Object], f)
		}
	}
	o.last = t
	return nil
}

// about a network: what the planner says, and of its routes where its pools are the user's, which are not planned.
func (t *thought) about(network *v1alpha1.UnderlayNetwork, outcomes []*outcome) []plan.Finding {
	findings := t.findings["network/"+network.Name]
	if network.Spec.Provider != v1alpha1.ProviderManual || len(network.Spec.Routes) == 0 {
		return findings
	}
	var pools []*v1alpha1.UnderlayPool
	for _, p := range outcomes {
		if p.live != nil {
			pools = append(pools, p.live)
		}
	}
	slices.SortFunc(pools, func(a, b *v1alpha1.UnderlayPool) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Concat(findings, plan.RoutesNotReached(network, pools))
}

// wanted are the networks that are not being deleted.
func (w *world) wanted() []v1alpha1.UnderlayNetwork {
	var out []v1alpha1.UnderlayNetwork
	for _, n := range w.networks {
		if n.DeletionTimestamp == nil {
			out = append(out, *n)
		}
	}
	return out
}

func (w *world) agentReports() []v1alpha1.UnderlayNode {
	out := make([]v1alpha1.UnderlayNode, 0, len(w.reports))
	for _, r := range w.reports {
		out = append(out, *r)
	}
	return out
}

// derives says whether the pools of the network come from the cloud. known is false for a network that does not exist.
func (w *world) derives(network string) (derives, known bool) {
	n := w.networks[network]
	if n == nil {
		return false, false
	}
	return n.Spec.Provider != v1alpha1.ProviderManual, true
}

// has says whether the cloud has shown the interface on the node.
func (f nodeFacts) has(id string) bool { return slices.Contains(f.interfaces, id) }

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
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
	to       target
	plan     plan.Plan
	findings []plan.Finding
	// objects in the order in which they are applied.
	objects []*unstructured.Unstructured
	// derived is what the operator will make of them.
	derived []*unstructured.Unstructured
	// remove holds live objects that are no longer wanted: by us, or by the operator where one derives pools.
	remove []*unstructured.Unstructured
}

// target says for whom objects are made, and by whom.
type target struct {
	name       string
	ipv6Limit  int
	noOperator bool
	image      string
}

func (t *target) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.noOperator, "no-operator", false, "write pools and attachments directly, where no operator shall run")
	cmd.Flags().StringVar(&t.image, "image", "", "image of operator and agents (default "+manifests.Repository+":<version of the plugin>)")
}

// withoutOperator: Spiderpool has an operator of its own.
func (t *target) withoutOperator() bool { return t.noOperator || t.name == forSpiderpool }

func (t *target) validate(cmd *cobra.Command) error {
	if t.image != "" && t.withoutOperator() {
		return usageError{cmd.CommandPath(), fmt.Errorf("--image is of the operator: leave it out, or --no-operator and --for %s", forSpiderpool)}
	}
	return nil
}

// propose plans for the target and checks the plan.
func (w *world) propose(to target) (*proposal, error) {
	p, planned := w.plan()
	out := &proposal{world: w, to: to, plan: p}
	// What runs is not the question before it is installed; init waits for it afterwards, and status shows it. What may not
	// be read is check's to say.
	skip := append(check.HealthIDs(), check.IDPermissionMissing)
	if to.name == forSpiderpool {
		objects, findings := plan.Spiderpool(p, w.inventory, plan.SpiderpoolOptions{IPv6Limit: to.ipv6Limit})
		out.objects = objects
		out.findings = w.check(p, append(planned, findings...), skip)
		return out, nil
	}
	out.findings = w.check(p, planned, skip)
	var err error
	if out.remove, err = kube.Objects(w.stale(p)); err != nil {
		return nil, err
	}
	if to.noOperator {
		crds, err := manifests.CRDs()
		out.objects = slices.Concat(crds, p.Objects())
		return out, err
	}
	install, err := manifests.Install(manifests.Options{Image: to.image})
	mine, others := p.ManualPools()
	out.objects = slices.Concat(install, plan.Plan{Networks: p.Networks, Pools: mine}.Objects())
	derived := plan.Plan{Pools: others, Attachments: p.Attachments}
	if w.cluster != nil && !w.seen.Multus {
		derived.Attachments = nil // the operator makes them once their kind is known
	}
	out.derived = derived.Objects()
	return out, err
}

// stale are the derived pools of planned networks which are no longer planned. A pool whose addresses are held stays,
// since its pods would lose them to others, and so do the pools of a node whose interfaces could not be seen, and those
// that somebody wrote by hand.
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
		byHand := pool.Labels[plan.LabelManagedBy] != plan.ManagedBy
		return byHand || !derived[pool.Spec.NetworkName] || planned[pool.Name] || unseen[pool.Spec.NodeName] || pool.Status.Allocated > 0
	})
}

// blocked says why nothing should be written: what would be written could not be used, or would be wrong.
func (p *proposal) blocked() error {
	if len(p.plan.Networks) == 0 && p.world.migrated != nil {
		return fmt.Errorf("nothing could be taken over; the report says why, object by object")
	}
	if len(p.plan.Networks) == 0 && p.world.inventory.Provider == v1alpha1.ProviderManual {
		return fmt.Errorf("no interface has addresses for pods: write them as `ranges:` into the interfaces of an inventory file " +
			"(`kubectl underlay inspect --provider Manual -o yaml` begins one), or choose interfaces with --network FILE")
	}
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
	for _, network := range p.plan.Networks {
		if network.DeletionTimestamp != nil {
			return fmt.Errorf("network %s is being removed, and stays as long as pods hold its addresses: delete these, or drain their nodes, and run this again when it is gone "+
				"(`kubectl get underlaynetwork`)", network.Name)
		}
	}
	return nil
}

// conflicts says why this may not be applied beside what runs in the cluster.
func (p *proposal) conflicts() error {
	if install := p.world.seen.Install; p.to.noOperator && p.to.name == forUnderlay && install != nil && install.Operator != nil {
		return fmt.Errorf("an operator runs in this cluster and is the one that writes pools and attachments: leave --no-operator out, " +
			"or remove the operator first with `kubectl underlay uninstall`; nothing was written")
	}
	return nil
}

// difference is what a proposal changes.
type difference struct {
	// applied by us, derived by the operator afterwards.
	applied, derived []plan.Change
}

// pending says whether anything is to be done.
func (d difference) pending() bool { return pending(d.applied) || pending(d.derived) }

func pending(changes []plan.Change) bool {
	return slices.ContainsFunc(changes, func(c plan.Change) bool { return c.Action != plan.Unchanged })
}

// plannedChange is a change with who makes it, as `plan -o json` prints it.
type plannedChange struct {
	plan.Change
	// By is init, or operator for what the operator derives afterwards.
	By string `json:"by"`
}

func (d difference) list() []plannedChange {
	out := make([]plannedChange, 0, len(d.applied)+len(d.derived))
	for _, c := range d.applied {
		out = append(out, plannedChange{c, "init"})
	}
	for _, c := range d.derived {
		out = append(out, plannedChange{c, "operator"})
	}
	return out
}

// changes compares the proposal with the cluster; without a cluster everything is new.
func (p *proposal) changes(ctx context.Context, force bool) (difference, error) {
	if p.world.cluster == nil {
		return difference{plan.Diff(nil, p.objects), plan.Diff(nil, p.derived)}, nil
	}
	before, after, err := p.world.cluster.Preview(ctx, p.objects, p.world.seen.Pools, force)
	if err != nil {
		return difference{}, err
	}
	derivedBefore, derivedAfter, err := p.world.cluster.PreviewDerived(ctx, p.derived, p.world.seen.Pools)
	if err != nil {
		return difference{}, err
	}
	if !p.to.withoutOperator() {
		derivedBefore = append(derivedBefore, p.remove...)
	} else {
		before = append(before, p.remove...)
	}
	return difference{plan.Diff(before, after), plan.Diff(derivedBefore, derivedAfter)}, nil
}

// report tells findings beside the data; nothing is said where there are none.
func (g *global) report(findings []plan.Finding) {
	if len(findings) > 0 {
		g.chatter().Findings(findings)
	}
}

// image of operator and agents: what the user chose, else that of the plugin's own version.
func (g *global) image(chosen string) string {
	return cmp.Or(chosen, manifests.Repository+":"+g.env.Version.Version)
}

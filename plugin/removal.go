// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// patience is how long, with --force, operator and agents may take to let go of what pods still hold. Without such pods
// they take seconds.
const patience = 15 * time.Second

// removal is what uninstall found, by the order in which it goes.
type removal struct {
	cluster *kube.Cluster
	seen    kube.Observation
	force   bool
	// users are pods that hold addresses, by node.
	users map[string][]string

	networks, pools, attachments []*unstructured.Unstructured
	agents, operator             []*unstructured.Unstructured
	// rest of the installation, the last of it first: permissions and policies.
	rest []*unstructured.Unstructured
	// reports of agents, gone with their CRD where that goes.
	reports, crds []*unstructured.Unstructured
	namespace     []*unstructured.Unstructured
}

// findRemoval reads what there is to remove.
func findRemoval(ctx context.Context, cluster *kube.Cluster, o uninstallOptions) (*removal, error) {
	r := &removal{cluster: cluster, force: o.force}
	var err error
	if r.seen, err = cluster.ObserveInstall(ctx); err != nil {
		return nil, err
	}
	if r.users, err = cluster.Users(ctx, r.seen.Pools); err != nil {
		return nil, err
	}
	underlay := func(kind string) schema.GroupVersionKind { return v1alpha1.GroupVersion().WithKind(kind) }
	attachment := schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
	for _, find := range []struct {
		gvk    schema.GroupVersionKind
		labels map[string]string
		into   *[]*unstructured.Unstructured
	}{
		{underlay("UnderlayNetwork"), nil, &r.networks},
		{underlay("UnderlayPool"), nil, &r.pools},
		{attachment, map[string]string{"app.kubernetes.io/managed-by": "underlay"}, &r.attachments},
		{underlay("UnderlayNode"), nil, &r.reports},
	} {
		if *find.into, err = cluster.List(ctx, find.gvk, find.labels); err != nil {
			return nil, err
		}
	}
	return r, r.findInstall(ctx, o.keepCRDs)
}

// findInstall sorts what init installs by when it goes.
func (r *removal) findInstall(ctx context.Context, keepCRDs bool) error {
	install, err := manifests.Install(manifests.Options{})
	if err != nil {
		return err
	}
	live, err := r.cluster.Existing(ctx, install)
	if err != nil {
		return err
	}
	for _, object := range slices.Backward(live) {
		into := &r.rest
		switch object.GetKind() {
		case "Namespace":
			into = &r.namespace
		case "CustomResourceDefinition":
			into = &r.crds
		case "DaemonSet":
			into = &r.agents
		case "Deployment":
			into = &r.operator
		}
		*into = append(*into, object)
	}
	if keepCRDs {
		r.crds = nil
	} else {
		r.reports = nil
	}
	return nil
}

// all that goes, in order.
func (r *removal) all() []*unstructured.Unstructured {
	return slices.Concat(r.networks, r.pools, r.attachments, r.agents, r.operator, r.rest, r.reports, r.crds, r.namespace)
}

// changes are deletions, for the view.
func (r *removal) changes() []plan.Change { return plan.Diff(r.all(), nil) }

// refuse says which pods hold addresses, if any do. What agents and operator count is told where no pod can be named.
func (r *removal) refuse() error {
	var pods []string
	for _, node := range slices.Sorted(maps.Keys(r.users)) {
		for _, pod := range r.users[node] {
			pods = append(pods, pod+" on "+node)
		}
	}
	const remedy = "; delete them or move them to another network first, or use --force, which breaks their network"
	if len(pods) > 0 {
		return fmt.Errorf("%s %s addresses of these networks: %s%s", plan.Count(len(pods), "pod"), hold(len(pods)), plan.Some(pods), remedy)
	}
	held, nodes := r.held()
	if held == 0 {
		return nil
	}
	return fmt.Errorf("pods hold %s of these networks, on %s%s", plan.Count(int(held), "address"), plan.Some(nodes), remedy)
}

func hold(n int) string {
	if n == 1 {
		return "holds"
	}
	return "hold"
}

// held counts addresses that pods hold: the agents' word where there is one, else the operator's.
func (r *removal) held() (held int64, nodes []string) {
	counted := map[string]int64{}
	for _, report := range r.seen.Reports {
		for _, pool := range report.Status.Pools {
			counted[pool.Name] = pool.Allocated
		}
	}
	on := map[string]bool{}
	for _, pool := range r.seen.Pools {
		n, known := counted[pool.Name]
		if !known {
			n = pool.Status.Allocated
		}
		if n > 0 {
			held += n
			on[pool.Spec.NodeName] = true
		}
	}
	return held, slices.Sorted(maps.Keys(on))
}

// notes are what is worth knowing before agreeing.
func (r *removal) notes() []string {
	var out []string
	if len(r.namespace) > 0 {
		out = append(out, "namespace "+check.Namespace+" goes with all that is in it, such as a Secret with credentials")
	}
	for _, n := range r.seen.Networks {
		if n.Spec.Default {
			out = append(out, "network "+n.Name+" is the default of its nodes: without another CNI they become not ready")
		}
	}
	return out
}

// stays says what no step undoes. docs/reference/agent.md says why.
func (r *removal) stays() string {
	if len(r.agents)+len(r.seen.Reports) == 0 {
		return "left as it is: the cloud"
	}
	return "left as they are: the cloud and, until nodes boot again, what agents have set there: forwarding, rp_filter of lo, accept_ra of links, pools' interfaces up with their MTU"
}

// removalStep is one step, which says what it did.
type removalStep struct {
	name string
	do   func(ctx context.Context, tell func(string)) (string, error)
}

// steps leave out what there is not.
func (r *removal) steps() []removalStep {
	var out []removalStep
	add := func(name string, needed bool, do func(context.Context, func(string)) (string, error)) {
		if needed {
			out = append(out, removalStep{name, do})
		}
	}
	erase := func(objects []*unstructured.Unstructured) func(context.Context, func(string)) (string, error) {
		return func(ctx context.Context, tell func(string)) (string, error) {
			return plan.Count(len(objects), "object"), r.erase(ctx, objects, tell)
		}
	}
	add("networks", len(r.networks) > 0, r.eraseNetworks)
	add("pools and attachments", len(r.pools)+len(r.attachments) > 0, erase(slices.Concat(r.pools, r.attachments)))
	add("nodes", len(r.agents) > 0, r.clearNodes)
	add("agents", len(r.agents) > 0, func(ctx context.Context, tell func(string)) (string, error) {
		return "", r.eraseWorkload(ctx, r.agents, check.ComponentAgent, tell)
	})
	add("operator", len(r.operator) > 0, func(ctx context.Context, tell func(string)) (string, error) {
		return "", r.eraseWorkload(ctx, r.operator, check.ComponentOperator, tell)
	})
	rest := slices.Concat(r.rest, r.reports)
	add("permissions", len(rest) > 0, erase(rest))
	add("CRDs", len(r.crds) > 0, erase(r.crds))
	add("namespace", len(r.namespace) > 0, erase(r.namespace))
	return out
}

// erase deletes and waits.
func (r *removal) erase(ctx context.Context, objects []*unstructured.Unstructured, tell func(string)) error {
	if err := r.cluster.Delete(ctx, objects); err != nil {
		return err
	}
	return r.gone(ctx, objects, tell)
}

func (r *removal) gone(ctx context.Context, objects []*unstructured.Unstructured, tell func(string)) error {
	var last []string
	err := r.cluster.WaitGone(ctx, objects, func(rest []*unstructured.Unstructured) {
		last = names(rest)
		tell(left(last))
	})
	if errors.Is(err, context.DeadlineExceeded) && len(last) > 0 {
		return lateError{left(last)}
	}
	return err
}

func names(objects []*unstructured.Unstructured) []string {
	out := make([]string, 0, len(objects))
	for _, o := range objects {
		out = append(out, o.GetKind()+" "+o.GetName())
	}
	return out
}

// eraseNetworks lets the operator take down what it made of them, and then its finalizer. Where there is no operator to
// do it, or it does not within its time, it is done here: pools first, so that nobody hands out their addresses.
func (r *removal) eraseNetworks(ctx context.Context, tell func(string)) (string, error) {
	if err := r.cluster.Delete(ctx, r.networks); err != nil {
		return "", err
	}
	count := plan.Count(len(r.networks), "network")
	available := int32(0)
	if r.seen.Install != nil {
		available, _ = r.seen.Install.OperatorReady()
	}
	if available > 0 {
		gaveUp, err := r.patiently(ctx, func(ctx context.Context) error { return r.gone(ctx, r.networks, tell) })
		if !gaveUp {
			return count, err
		}
	}
	if err := r.erase(ctx, slices.Concat(r.pools, r.attachments), tell); err != nil {
		return "", err
	}
	for _, network := range r.networks {
		if err := r.cluster.DropFinalizers(ctx, network); err != nil {
			return "", err
		}
	}
	return count + ", without the operator", r.gone(ctx, r.networks, tell)
}

// patiently does something that waits for operator or agents. With --force, which is for when they do not do their part,
// it gives up after a while.
func (r *removal) patiently(ctx context.Context, do func(context.Context) error) (gaveUp bool, err error) {
	if !r.force {
		return false, do(ctx)
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = do(patient)
	return ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded), err
}

// clearNodes waits until every agent that runs has taken the CNI from its node, which it does when there is no network
// and no pod that holds an address. A node whose agent does not run is left as it is.
func (r *removal) clearNodes(ctx context.Context, tell func(string)) (string, error) {
	w := watcher{cluster: r.cluster}
	var waiting, silent []string
	gaveUp, err := r.patiently(ctx, func(ctx context.Context) error {
		err := w.look(ctx)
		for ; err == nil; err = w.lookAgain(ctx) {
			if waiting, silent = unclear(w.seen); len(waiting) == 0 {
				return nil
			}
			tell(plan.Count(len(waiting), "node") + " left: " + plan.Some(waiting))
		}
		return err
	})
	switch {
	case gaveUp:
		return "left with the CNI: " + plan.Some(append(silent, waiting...)), nil
	case errors.Is(err, context.DeadlineExceeded) && len(waiting) > 0:
		return "", lateError{"the agents have not taken the CNI from " + plan.Some(waiting)}
	case err != nil:
		return "", err
	case len(silent) > 0:
		return "left with the CNI, since no agent runs there: " + plan.Some(silent), nil
	case len(w.seen.Reports) == 0:
		return "no agent has reported: look at /etc/cni/net.d of the nodes", nil
	}
	return "nothing of the CNI is left on them", nil
}

// unclear are nodes whose agent has not told that they are vacant: those where it will in time, and those where none runs.
func unclear(seen kube.Observation) (waiting, silent []string) {
	running := map[string]bool{}
	if seen.Install != nil {
		for _, pod := range seen.Install.Pods {
			if pod.Labels[check.ComponentLabel] == check.ComponentAgent && pod.Status.Phase == corev1.PodRunning {
				running[pod.Spec.NodeName] = true
			}
		}
	}
	for _, report := range seen.Reports {
		ready := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case ready != nil && ready.Reason == v1alpha1.ReasonVacant:
		case running[report.Name]:
			waiting = append(waiting, report.Name)
		default:
			silent = append(silent, report.Name)
		}
	}
	return waiting, silent
}

// eraseWorkload deletes a workload and waits for its pods too: whoever still ran would write again what is removed next.
func (r *removal) eraseWorkload(ctx context.Context, objects []*unstructured.Unstructured, component string, tell func(string)) error {
	if err := r.erase(ctx, objects, tell); err != nil {
		return err
	}
	pods, err := r.cluster.List(ctx, corev1.SchemeGroupVersion.WithKind("Pod"),
		map[string]string{check.NameLabel: check.NameValue, check.ComponentLabel: component})
	if err != nil {
		return err
	}
	return r.gone(ctx, pods, tell)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of what operator and agents make.
const (
	IDNetworkNotReady  = "network-not-ready"
	IDNodeWithoutCNI   = "node-without-cni"
	IDPoolExhausted    = "pool-exhausted"
	IDPoolInvalid      = "pool-invalid"
	IDPoolNotAsPlanned = "pool-not-as-planned"
	IDPoolNotObserved  = "pool-not-observed"
	IDPoolOutOfSync    = "pool-out-of-sync"
)

func healthChecks() []Check {
	return []Check{
		{IDNetworkNotReady, "networks are ready", plan.Error, installed(networkNotReady)},
		{IDNodeWithoutCNI, "nodes have a CNI", plan.Error, inCluster(nodeWithoutCNI)},
		{IDPoolExhausted, "pools have free addresses", plan.Error, inCluster(poolCondition(IDPoolExhausted, v1alpha1.ConditionExhausted, metav1.ConditionTrue, plan.Error,
			"give its interface more addresses (another prefix in a cloud; spec.ranges of a pool that you wrote), or start fewer pods on its node; `kubectl underlay pools` shows the others"))},
		{IDPoolInvalid, "pools are valid", plan.Error, inCluster(poolCondition(IDPoolInvalid, v1alpha1.ConditionValid, metav1.ConditionFalse, plan.Error,
			"correct the pool, or the network that it is made from; until then it hands out nothing"))},
		{IDPoolNotAsPlanned, "the operator has made pools as planned", plan.Warning, installed(poolNotAsPlanned)},
		{IDPoolNotObserved, "agents know their node's pools", plan.Warning, installed(poolNotObserved)},
		{IDPoolOutOfSync, "pools follow the cloud", plan.Warning, inCluster(poolCondition(IDPoolOutOfSync, v1alpha1.ConditionInSync, metav1.ConditionFalse, plan.Warning,
			"wait for the operator's next look at the cloud; if it stays, see `kubectl describe underlaypool`"))},
	}
}

// HealthIDs are the ids of what Health finds, for who is about to install and knows that nothing runs yet.
func HealthIDs() []string {
	var ids []string
	for _, c := range slices.Concat(installChecks(), healthChecks()) {
		ids = append(ids, c.ID)
	}
	return ids
}

// Health gives the findings about operator, agents and what they make, without looking at the cloud.
func Health(in Inputs) []plan.Finding {
	var out []plan.Finding
	for _, c := range slices.Concat(installChecks(), healthChecks()) {
		out = append(out, c.Run(in)...)
	}
	plan.SortFindings(out)
	return slices.Compact(out)
}

func networkNotReady(in Inputs) []plan.Finding {
	if in.Cluster.Install.Operator == nil {
		return nil // nobody writes the condition
	}
	var out []plan.Finding
	for i := range in.Cluster.Networks {
		n := &in.Cluster.Networks[i]
		f := plan.Finding{ID: IDNetworkNotReady, Severity: plan.Warning, Object: "network/" + n.Name,
			Remedy: "see `kubectl describe underlaynetwork " + n.Name + "`"}
		ready := meta.FindStatusCondition(n.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case n.DeletionTimestamp != nil:
			f.Message = "it is being removed"
			if n.Status.Allocated > 0 {
				f.Message += "; pods hold " + plan.Count(int(n.Status.Allocated), "address") + " of it"
			}
		case ready == nil:
			f.Message = "the operator has not looked at it yet"
		case ready.ObservedGeneration > 0 && ready.ObservedGeneration < n.Generation:
			f.Message = "the operator has not seen its last change yet"
		case ready.Status != metav1.ConditionTrue:
			f.Severity = plan.Error
			f.Message = said(ready)
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

// nodeWithoutCNI: what a default network of the cluster should have solved, or what none is planned to solve.
func nodeWithoutCNI(in Inputs) []plan.Finding {
	live := map[string]bool{}
	for i := range in.Cluster.Networks {
		live[in.Cluster.Networks[i].Name] = in.Cluster.Networks[i].Spec.Default
	}
	served := map[string]string{} // by node
	for i := range in.Cluster.Pools {
		if p := &in.Cluster.Pools[i]; live[p.Spec.NetworkName] {
			served[p.Spec.NodeName] = p.Spec.NetworkName
		}
	}
	planned := slices.ContainsFunc(in.Plan.Networks, func(n v1alpha1.UnderlayNetwork) bool { return n.Spec.Default })
	var found grouped
	for _, node := range in.Cluster.WithoutCNI {
		f := plan.Finding{ID: IDNodeWithoutCNI, Severity: plan.Error}
		switch network := served[node]; {
		case network != "":
			f.Message = fmt.Sprintf("the kubelet still waits for a CNI plugin, though network %s is the default there", network)
			f.Remedy = "wait for the node's agent; if it stays, look for a file in the node's /etc/cni/net.d that sorts before 05-underlay.conflist"
		case planned:
			continue
		default:
			f.Severity = plan.Warning
			f.Message = "the kubelet waits for a CNI plugin, and no network is the default there"
			f.Remedy = "set spec.default of a network that the node has, or install another CNI"
		}
		found.add(f, node)
	}
	return found.all()
}

// poolCondition makes a check of a condition that the operator writes, one finding per message.
func poolCondition(id, condition string, bad metav1.ConditionStatus, severity plan.Severity, remedy string) func(Inputs) []plan.Finding {
	return func(in Inputs) []plan.Finding {
		var out []plan.Finding
		for i := range in.Cluster.Pools {
			p := &in.Cluster.Pools[i]
			c := meta.FindStatusCondition(p.Status.Conditions, condition)
			if c == nil || c.Status != bad || isMistake(c.Reason) {
				continue
			}
			out = append(out, plan.Finding{ID: id, Severity: severity, Object: "pool/" + p.Name, Message: said(c), Remedy: remedy})
		}
		return out
	}
}

// poolNotAsPlanned compares the pools of networks in the cluster with those planned, as the plan's difference does.
// Pools too many are no matter: the operator takes its time to remove one.
func poolNotAsPlanned(in Inputs) []plan.Finding {
	networks := map[string]bool{}
	for i := range in.Cluster.Networks {
		networks[in.Cluster.Networks[i].Name] = true
	}
	var live, planned []v1alpha1.UnderlayPool
	names := map[string]bool{}
	for i := range in.Plan.Pools {
		if p := &in.Plan.Pools[i]; networks[p.Spec.NetworkName] {
			planned, names[p.Name] = append(planned, specOnly(p)), true
		}
	}
	for i := range in.Cluster.Pools {
		if p := &in.Cluster.Pools[i]; names[p.Name] {
			live = append(live, specOnly(p))
		}
	}
	var out []plan.Finding
	for _, c := range plan.Diff(plan.Plan{Pools: live}.Objects(), plan.Plan{Pools: planned}.Objects()) {
		f := plan.Finding{ID: IDPoolNotAsPlanned, Severity: plan.Warning, Object: "pool/" + c.Name, Message: "the operator has not made it yet",
			Remedy: "wait for the operator's next look at the cloud; if it stays, see `kubectl -n " + Namespace + " logs deployment/" + OperatorName + "`"}
		switch c.Action {
		case plan.Unchanged:
			continue
		case plan.Update:
			var fields []string
			for _, field := range c.Fields {
				fields = append(fields, fmt.Sprintf("%s is %s, planned is %s", field.Path, cmp.Or(field.Old, "unset"), cmp.Or(field.New, "unset")))
			}
			f.Message = strings.Join(fields, "; ")
		}
		out = append(out, f)
	}
	return out
}

// specOnly is a pool without what others may add to it.
func specOnly(p *v1alpha1.UnderlayPool) v1alpha1.UnderlayPool {
	out := v1alpha1.UnderlayPool{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "UnderlayPool"}, Spec: p.Spec}
	out.Name = p.Name
	return out
}

// poolNotObserved speaks of agents that have reported, but know an older generation of a pool, or none.
func poolNotObserved(in Inputs) []plan.Finding {
	if in.Cluster.Install.Agents == nil {
		return nil
	}
	type key struct{ node, pool string }
	observed := map[key]int64{}
	reported := map[string]bool{}
	for i := range in.Cluster.Reports {
		r := &in.Cluster.Reports[i]
		reported[r.Name] = true
		for _, p := range r.Status.Pools {
			observed[key{r.Name, p.Name}] = p.ObservedGeneration
		}
	}
	behind := map[string]int{}
	for i := range in.Cluster.Pools {
		p := &in.Cluster.Pools[i]
		if reported[p.Spec.NodeName] && observed[key{p.Spec.NodeName, p.Name}] < max(p.Generation, 1) {
			behind[p.Spec.NodeName]++
		}
	}
	var found grouped
	for i := range in.Cluster.Nodes {
		name := in.Cluster.Nodes[i].Name
		if n := behind[name]; n > 0 {
			found.add(plan.Finding{ID: IDPoolNotObserved, Severity: plan.Warning,
				Message: fmt.Sprintf("the agent has not taken over the last change of %s yet", plan.Count(n, "pool")),
				Remedy:  "wait some seconds; if it stays, see the agent's log (`kubectl -n " + Namespace + " logs -l " + ComponentLabel + "=" + ComponentAgent + "`)"}, name)
		}
	}
	return found.all()
}

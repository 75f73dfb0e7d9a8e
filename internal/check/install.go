// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// The ids of the checks of operator and agents. Who waits for an installation waits for these.
const (
	IDOperatorNotReady       = "operator-not-ready"
	IDOperatorWithoutStandby = "operator-without-standby"
	IDAgentNotReady          = "agent-not-ready"
)

// Namespace of operator and agents, and the names and components by which they are found.
const (
	Namespace         = "underlay-system"
	OperatorName      = "underlay-operator"
	AgentName         = "underlay-agent"
	NameLabel         = "app.kubernetes.io/name"
	NameValue         = "underlay"
	ComponentLabel    = "app.kubernetes.io/component"
	ComponentOperator = "operator"
	ComponentAgent    = "agent"
)

// Install is what runs in the cluster for us.
type Install struct {
	// Operator and Agents are nil where they are not there.
	Operator *appsv1.Deployment
	Agents   *appsv1.DaemonSet
	// Pods of both.
	Pods []corev1.Pod
}

// OperatorReady says how many replicas of the operator are available, and how many there should be.
func (i *Install) OperatorReady() (available, desired int32) {
	if i.Operator == nil {
		return 0, 0
	}
	desired = 1
	if i.Operator.Spec.Replicas != nil {
		desired = *i.Operator.Spec.Replicas
	}
	return i.Operator.Status.AvailableReplicas, desired
}

// foreignConfiguration is the agent's reason where another CNI's configuration comes before ours. (Where ours waits for its
// last pod, all is well.)
const foreignConfiguration = "ForeignConfiguration"

func installChecks() []Check {
	return []Check{
		{IDOperatorNotReady, "the operator runs", plan.Error, installed(operatorNotReady)},
		{IDOperatorWithoutStandby, "another operator stands by", plan.Warning, installed(operatorWithoutStandby)},
		{IDAgentNotReady, "the agent of each node is ready", plan.Error, installed(agentNotReady)},
	}
}

// installed makes a check say nothing where neither operator nor agents are there.
func installed(run func(Inputs) []plan.Finding) func(Inputs) []plan.Finding {
	return inCluster(func(in Inputs) []plan.Finding {
		if in.Cluster.Install == nil {
			return nil
		}
		return run(in)
	})
}

func operatorNotReady(in Inputs) []plan.Finding {
	i := in.Cluster.Install
	f := plan.Finding{ID: IDOperatorNotReady, Severity: plan.Error, Object: "deployment/" + OperatorName}
	if i.Operator == nil {
		f.Message = "the operator is not installed, but the agents are: pools do not follow the cloud"
		f.Remedy = "run `kubectl underlay init`, or `kubectl underlay uninstall` to remove the rest"
		return []plan.Finding{f}
	}
	available, desired := i.OperatorReady()
	status := i.Operator.Status
	switch {
	case desired == 0:
		f.Message = "the operator is scaled to 0 replicas: pools do not follow the cloud"
		f.Remedy = fmt.Sprintf("`kubectl -n %s scale deployment %s --replicas=2`", Namespace, OperatorName)
		return []plan.Finding{f}
	case available == 0:
		f.Message = fmt.Sprintf("none of %s is available", plan.Count(int(desired), "replica"))
	case status.ObservedGeneration < i.Operator.Generation || status.UpdatedReplicas < desired || status.Replicas > status.UpdatedReplicas:
		f.Severity = plan.Warning
		f.Message = fmt.Sprintf("%d of %s run what was installed last", status.UpdatedReplicas, plan.Count(int(desired), "replica"))
	default:
		return nil
	}
	reason, remedy := i.trouble(ComponentOperator)
	if reason == "" {
		reason, remedy = replicaFailure(i.Operator), lookAt(ComponentOperator)
	}
	if reason != "" {
		f.Message += ": " + reason
	}
	f.Remedy = remedy
	return []plan.Finding{f}
}

// replicaFailure is why a Deployment cannot make pods, as a quota or a policy may say.
func replicaFailure(d *appsv1.Deployment) string {
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
			return c.Message
		}
	}
	return "it has no pods yet"
}

func operatorWithoutStandby(in Inputs) []plan.Finding {
	available, desired := in.Cluster.Install.OperatorReady()
	if available == 0 || available >= desired {
		return nil
	}
	f := plan.Finding{ID: IDOperatorWithoutStandby, Severity: plan.Warning, Object: "deployment/" + OperatorName,
		Message: fmt.Sprintf("%d of %s is available, so none stands by", available, plan.Count(int(desired), "replica")),
		Remedy: "nothing, on a cluster of one node; otherwise " + strings.TrimPrefix(lookAt(ComponentOperator), "see ") +
			" says what keeps the other"}
	if available > 1 {
		f.Message = fmt.Sprintf("%d of %s are available", available, plan.Count(int(desired), "replica"))
	}
	if reason, _ := in.Cluster.Install.trouble(ComponentOperator); reason != "" {
		f.Message += ": " + reason
	}
	return []plan.Finding{f}
}

// agentNotReady speaks of nodes with one trouble together. Where a node has no pool it is only an info.
func agentNotReady(in Inputs) []plan.Finding {
	i := in.Cluster.Install
	if i.Agents == nil {
		return []plan.Finding{{ID: IDAgentNotReady, Severity: plan.Error, Object: "daemonset/" + AgentName,
			Message: "the agents are not installed, but the operator is: nodes do not learn of their pools",
			Remedy:  "run `kubectl underlay init`, or `kubectl underlay uninstall` to remove the rest"}}
	}
	carries := carriers(in)
	pods := map[string]*corev1.Pod{}
	for p := range i.Pods {
		if i.Pods[p].Labels[ComponentLabel] == ComponentAgent {
			pods[i.Pods[p].Spec.NodeName] = &i.Pods[p]
		}
	}
	reports := map[string]*v1alpha1.UnderlayNode{}
	for r := range in.Cluster.Reports {
		reports[in.Cluster.Reports[r].Name] = &in.Cluster.Reports[r]
	}
	var found grouped
	for n := range in.Cluster.Nodes {
		node := &in.Cluster.Nodes[n]
		if !isLinux(node) || !carries[node.Name] && pods[node.Name] == nil {
			continue // the DaemonSet may leave out nodes that need no agent
		}
		f := plan.Finding{ID: IDAgentNotReady, Severity: plan.Error}
		f.Message, f.Remedy = agentTrouble(node.Name, pods[node.Name], reports[node.Name])
		if f.Message == "" {
			f.Message, f.Remedy = notFollowed(reports[node.Name])
			f.Severity = plan.Info // it does all the rest
		}
		if !carries[node.Name] {
			f.Severity = plan.Info
		}
		if f.Message != "" {
			found.add(f, node.Name)
		}
	}
	found.findings = append(found.findings, agentRollout(i.Agents)...)
	return found.all()
}

// agentRollout says whether all agents are of the last installation.
func agentRollout(d *appsv1.DaemonSet) []plan.Finding {
	f := plan.Finding{ID: IDAgentNotReady, Severity: plan.Warning, Object: "daemonset/" + AgentName}
	switch s := d.Status; {
	case s.ObservedGeneration < d.Generation:
		f.Message = "what was installed last is not seen yet"
		f.Remedy = "wait; if it stays, the cluster's controller manager does not run"
	case s.UpdatedNumberScheduled < s.DesiredNumberScheduled:
		f.Message = fmt.Sprintf("%d of %s run what was installed last", s.UpdatedNumberScheduled, plan.Count(int(s.DesiredNumberScheduled), "agent"))
		f.Remedy = "wait; the DaemonSet replaces one after the other"
	default:
		return nil
	}
	return []plan.Finding{f}
}

// carriers are the nodes that have pools, or will.
func carriers(in Inputs) map[string]bool {
	out := map[string]bool{}
	for _, pools := range [][]v1alpha1.UnderlayPool{in.Cluster.Pools, in.Plan.Pools} {
		for i := range pools {
			out[pools[i].Spec.NodeName] = true
		}
	}
	return out
}

// agentTrouble says why a node's agent is not ready; nothing if it is.
func agentTrouble(node string, pod *corev1.Pod, report *v1alpha1.UnderlayNode) (message, remedy string) {
	if pod == nil {
		return "no agent runs there", "see `kubectl -n " + Namespace + " describe daemonset " + AgentName + "`"
	}
	if message, remedy = podTrouble(pod, ComponentAgent); message != "" {
		return message, remedy
	}
	logs := fmt.Sprintf("see `kubectl describe underlaynode %s` and `kubectl -n %s logs %s`", node, Namespace, pod.Name)
	if report == nil {
		return "the agent runs, but has not reported yet", logs
	}
	ready := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionReady)
	byDefault := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionDefaultNetwork)
	switch {
	case byDefault != nil && byDefault.Status == metav1.ConditionFalse && byDefault.Reason == foreignConfiguration:
		return "the agent says: " + said(byDefault), logs
	case ready == nil:
		return "the agent has not said yet whether it is ready", logs
	case ready.Status != metav1.ConditionTrue:
		return "the agent says: " + said(ready), logs
	}
	return "", ""
}

// notFollowed says what an agent leaves out.
func notFollowed(report *v1alpha1.UnderlayNode) (message, remedy string) {
	c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionFollowed)
	if c != nil && c.Status != metav1.ConditionTrue {
		return "the agent says: " + said(c), "correct the networks or pools that it names"
	}
	c = meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionDefaultNetwork)
	if c != nil && c.Status != metav1.ConditionTrue {
		return "the agent says: " + said(c), "`kubectl drain --ignore-daemonsets " + report.Name + "`, and `kubectl uncordon " + report.Name +
			"` when the condition DefaultNetwork names the new network; or delete the pods that it counts one by one, wherever they can run meanwhile"
	}
	c = meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionHostLegAnswers)
	if c != nil && c.Status != metav1.ConditionTrue {
		return "the agent says: " + said(c), "install what it names on the node, or use load balancers and Services that reach pods by their own addresses"
	}
	return "", ""
}

// said is a condition's reason and message.
func said(c *metav1.Condition) string {
	if c.Message == "" {
		return c.Reason
	}
	return c.Reason + ": " + c.Message
}

// grouped gathers findings that say the same of several nodes: thousands of nodes with one mistake are one finding.
type grouped struct {
	findings []plan.Finding // without object
	nodes    [][]string
}

func (g *grouped) add(f plan.Finding, node string) {
	for i := range g.nodes {
		if g.findings[i].Severity == f.Severity && g.findings[i].Message == f.Message {
			g.nodes[i] = append(g.nodes[i], node)
			return
		}
	}
	// Kept in front of what is about no node.
	g.findings = slices.Insert(g.findings, len(g.nodes), f)
	g.nodes = append(g.nodes, []string{node})
}

func (g *grouped) all() []plan.Finding {
	for i, nodes := range g.nodes {
		g.findings[i].Object = "node/" + nodes[0]
		if len(nodes) > 1 {
			g.findings[i].Object = plan.Count(len(nodes), "node")
			g.findings[i].Message += " (" + plan.Some(nodes) + ")"
		}
	}
	return g.findings
}

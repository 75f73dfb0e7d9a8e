// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// install lets operator and agents run, with the pools of the plan in place and known to the agents.
func (s *situation) install() {
	p, _ := plan.For(plan.Inputs{Inventory: s.inv, Propose: true})
	s.networks = p.Networks
	ready := []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Ready"}}
	for _, n := range p.Networks {
		n.Status.Conditions = ready
		s.cluster.Networks = append(s.cluster.Networks, n)
	}
	two := int32(2)
	i := &Install{
		Operator: &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &two},
			Status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}},
		Agents: &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, UpdatedNumberScheduled: 2}},
		Pods:   []corev1.Pod{pod("operator-a", ComponentOperator, "node-0000"), pod("operator-b", ComponentOperator, "node-0001")},
	}
	for _, node := range s.inv.Nodes {
		s.cluster.Nodes = append(s.cluster.Nodes, node)
		i.Pods = append(i.Pods, pod("agent-"+node.Name, ComponentAgent, node.Name))
		report := v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: node.Name}, Status: v1alpha1.UnderlayNodeStatus{Conditions: ready}}
		for _, pool := range p.Pools {
			if pool.Spec.NodeName == node.Name {
				pool.Generation = 1
				s.cluster.Pools = append(s.cluster.Pools, pool)
				report.Status.Pools = append(report.Status.Pools, v1alpha1.NodePool{Name: pool.Name, ObservedGeneration: 1})
			}
		}
		s.cluster.Reports = append(s.cluster.Reports, report)
	}
	s.cluster.Install = i
}

// pod of a component, ready.
func pod(name, component, node string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{ComponentLabel: component}},
		Spec:       corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
}

// running is a situation with operator and agents, changed.
func running(change func(*situation)) func(*situation) {
	return func(s *situation) {
		s.install()
		if change != nil {
			change(s)
		}
	}
}

func conditions(kind string, status metav1.ConditionStatus, reason, message string) []metav1.Condition {
	return []metav1.Condition{{Type: kind, Status: status, Reason: reason, Message: message}}
}

// stuck makes a pod wait in its first container.
func stuck(p *corev1.Pod, reason, message string) {
	p.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Image: "example/underlay:v1",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}}
}

func installCases() []checkCase {
	fine := running(nil)
	return []checkCase{
		{
			id: IDOperatorNotReady, good: fine, severity: plan.Error, object: "deployment/underlay-operator",
			bad: running(func(s *situation) {
				s.cluster.Install.Operator.Status.AvailableReplicas = 0
				stuck(&s.cluster.Install.Pods[0], "ImagePullBackOff", "no such tag")
			}),
			says: "none of 2 replicas is available: pod operator-a is ImagePullBackOff: no such tag",
		},
		{
			id: IDOperatorNotReady, good: fine, severity: plan.Warning, object: "deployment/underlay-operator",
			bad:  running(func(s *situation) { s.cluster.Install.Operator.Status.UpdatedReplicas = 1 }),
			says: "1 of 2 replicas run what was installed last",
		},
		{
			id: IDOperatorNotReady, good: fine, severity: plan.Error, object: "deployment/underlay-operator",
			bad:  running(func(s *situation) { s.cluster.Install.Operator = nil }),
			says: "not installed, but the agents are",
		},
		{
			id: IDOperatorNotReady, good: fine, severity: plan.Error, object: "deployment/underlay-operator",
			bad:  running(func(s *situation) { *s.cluster.Install.Operator.Spec.Replicas = 0 }),
			says: "scaled to 0",
		},
		{
			id: IDOperatorNotReady, good: fine, severity: plan.Error, object: "deployment/underlay-operator",
			bad: running(func(s *situation) {
				s.cluster.Install.Pods = s.cluster.Install.Pods[2:]
				s.cluster.Install.Operator.Status = appsv1.DeploymentStatus{Conditions: []appsv1.DeploymentCondition{
					{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: "pods are forbidden: exceeded quota"}}}
			}),
			says: "exceeded quota",
		},
		{
			id: IDOperatorWithoutStandby, good: fine, severity: plan.Warning, object: "deployment/underlay-operator",
			bad: running(func(s *situation) {
				s.cluster.Install.Operator.Status.AvailableReplicas = 1
				s.cluster.Install.Pods[1].Spec.NodeName = ""
				s.cluster.Install.Pods[1].Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
					{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available"}}}
			}),
			says: "1 of 2 replicas is available, so none stands by: pod operator-b is Pending: 0/1 nodes are available",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Error, object: "node/node-0001",
			bad:  running(func(s *situation) { stuck(&s.cluster.Install.Pods[3], "ErrImagePull", "denied") }),
			says: "ErrImagePull: denied",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Error, object: "2 nodes",
			bad:  running(func(s *situation) { s.cluster.Install.Pods = s.cluster.Install.Pods[:2] }),
			says: "no agent runs there (node-0000, node-0001)",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Error, object: "node/node-0000",
			bad: running(func(s *situation) {
				s.cluster.Reports[0].Status.Conditions = conditions("Ready", metav1.ConditionFalse, "NoNodeFile", "disk full")
			}),
			says: "the agent says: NoNodeFile: disk full",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Info, object: "node/node-0000", // a configuration that waits for its last pod
			bad: running(func(s *situation) {
				s.cluster.Reports[0].Status.Conditions = append(conditions("DefaultNetwork", metav1.ConditionFalse, "Waiting", "1 pod"),
					s.cluster.Reports[0].Status.Conditions...)
			}),
			says: "the agent says: Waiting: 1 pod",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Error, object: "node/node-0000",
			bad: running(func(s *situation) {
				s.cluster.Reports[0].Status.Conditions = append(conditions("DefaultNetwork", metav1.ConditionFalse, "ForeignConfiguration", "00-other.conf"),
					s.cluster.Reports[0].Status.Conditions...)
			}),
			says: "ForeignConfiguration: 00-other.conf",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Info, object: "node/node-0000",
			bad: running(func(s *situation) {
				s.cluster.Reports[0].Status.Conditions = append(conditions("Followed", metav1.ConditionFalse, "Problems", "pool a: no"),
					s.cluster.Reports[0].Status.Conditions...)
			}),
			says: "Problems: pool a: no",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Info, object: "node/node-0000",
			bad: running(func(s *situation) {
				s.cluster.Reports[0].Status.Conditions = append(conditions("HostLegAnswers", metav1.ConditionFalse, "NotSupported", "no act_ct"),
					s.cluster.Reports[0].Status.Conditions...)
			}),
			says: "NotSupported: no act_ct",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Error, object: "node/node-0000",
			bad:  running(func(s *situation) { s.cluster.Reports = s.cluster.Reports[1:] }),
			says: "has not reported yet",
		},
		{
			id: IDAgentNotReady, good: running(func(s *situation) { // a node that needs no agent
				s.cluster.Nodes = append(s.cluster.Nodes, v1alpha1.Node{Name: "other"})
			}), severity: plan.Info, object: "node/other",
			bad: running(func(s *situation) {
				s.cluster.Nodes = append(s.cluster.Nodes, v1alpha1.Node{Name: "other"})
				s.cluster.Install.Pods = append(s.cluster.Install.Pods, pod("agent-other", ComponentAgent, "other"))
				stuck(&s.cluster.Install.Pods[4], "ErrImagePull", "denied")
			}),
			says: "ErrImagePull",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Error, object: "daemonset/underlay-agent",
			bad:  running(func(s *situation) { s.cluster.Install.Agents = nil }),
			says: "not installed, but the operator is",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Warning, object: "daemonset/underlay-agent",
			bad:  running(func(s *situation) { s.cluster.Install.Agents.Status.UpdatedNumberScheduled = 1 }),
			says: "1 of 2 agents run what was installed last",
		},
		{
			id: IDAgentNotReady, good: fine, severity: plan.Warning, object: "daemonset/underlay-agent",
			bad:  running(func(s *situation) { s.cluster.Install.Agents.Generation = 2 }),
			says: "not seen yet",
		},
		{
			id: IDNetworkNotReady, good: fine, severity: plan.Error, object: "network/ens5",
			bad: running(func(s *situation) {
				s.cluster.Networks[0].Status.Conditions = conditions("Ready", metav1.ConditionFalse, "CloudUnreachable", "no credentials")
			}),
			says: "CloudUnreachable: no credentials",
		},
		{
			id: IDNetworkNotReady, good: running(func(s *situation) { // nobody writes conditions
				s.cluster.Install.Operator, s.cluster.Networks[0].Status.Conditions = nil, nil
			}), severity: plan.Warning, object: "network/ens5",
			bad:  running(func(s *situation) { s.cluster.Networks[0].Status.Conditions = nil }),
			says: "has not looked at it yet",
		},
		{
			id: IDNetworkNotReady, good: fine, severity: plan.Warning, object: "network/ens5",
			bad: running(func(s *situation) {
				s.cluster.Networks[0].Generation = 2
				s.cluster.Networks[0].Status.Conditions = conditions("Ready", metav1.ConditionTrue, "Ready", "")
				s.cluster.Networks[0].Status.Conditions[0].ObservedGeneration = 1
			}),
			says: "has not seen its last change",
		},
		{
			id: IDNetworkNotReady, good: fine, severity: plan.Warning, object: "network/ens5",
			bad: running(func(s *situation) {
				s.cluster.Networks[0].DeletionTimestamp, s.cluster.Networks[0].Status.Allocated = &metav1.Time{}, 3
			}),
			says: "being removed; pods hold 3 addresses",
		},
		{
			id: IDNodeWithoutCNI, severity: plan.Error, object: "node/node-0000",
			good: running(func(s *situation) { s.cluster.Networks[0].Spec.Default = true }),
			bad: running(func(s *situation) {
				s.cluster.Networks[0].Spec.Default = true
				s.cluster.WithoutCNI = []string{"node-0000"}
			}),
			says: "though network ens5 is the default there",
		},
		{
			id: IDNodeWithoutCNI, severity: plan.Warning, object: "2 nodes",
			good: func(s *situation) { // before init
				s.cluster.WithoutCNI = []string{"node-0000"}
				s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true })}
			},
			bad:  func(s *situation) { s.cluster.WithoutCNI = []string{"node-0000", "node-0001"} },
			says: "no network is the default there (node-0000, node-0001)",
		},
		{
			id: IDPoolExhausted, good: fine, severity: plan.Error, object: "pool/ens5.0.v4.node-0000",
			bad: running(func(s *situation) {
				s.cluster.Pools[0].Status.Conditions = conditions("Exhausted", metav1.ConditionTrue, "NoFreeAddress", "16 of 16")
			}),
			says: "NoFreeAddress: 16 of 16",
		},
		{
			id: IDPoolInvalid, good: fine, severity: plan.Error, object: "pool/ens5.0.v4.node-0000",
			bad: running(func(s *situation) {
				s.cluster.Pools[0].Status.Conditions = conditions("Valid", metav1.ConditionFalse, "Overlap", "with pool b")
			}),
			says: "Overlap: with pool b",
		},
		{
			id: IDPoolNotAsPlanned, good: running(func(s *situation) { // too many
				s.cluster.Pools = append(s.cluster.Pools, s.existing("old", "ens5", "10.0.9.0/28"))
			}), severity: plan.Warning, object: "pool/ens5.0.v4.node-0000",
			bad:  running(func(s *situation) { s.cluster.Pools = s.cluster.Pools[1:] }),
			says: "has not made it yet",
		},
		{
			id: IDPoolNotAsPlanned, good: fine, severity: plan.Warning, object: "pool/ens5.0.v4.node-0000",
			bad:  running(func(s *situation) { s.cluster.Pools[0].Spec.Ranges = []v1alpha1.Range{"10.0.0.80/28"} }),
			says: `spec.ranges is ["10.0.0.80/28"], planned is ["10.0.0.64/28"]`,
		},
		{
			id: IDPoolNotObserved, good: fine, severity: plan.Warning, object: "node/node-0001",
			bad: running(func(s *situation) {
				for i := range s.cluster.Pools {
					if s.cluster.Pools[i].Spec.NodeName == "node-0001" {
						s.cluster.Pools[i].Generation = 2
					}
				}
			}),
			says: "last change of 2 pools",
		},
		{
			id: IDPoolOutOfSync, good: fine, severity: plan.Warning, object: "pool/ens5.0.v4.node-0000",
			bad: running(func(s *situation) {
				s.cluster.Pools[0].Status.Conditions = conditions("InSync", metav1.ConditionFalse, "PrefixMissing", "10.0.0.64/28")
			}),
			says: "PrefixMissing: 10.0.0.64/28",
		},
	}
}

// TestPodTrouble: what people see when a pod does not start, in the words of kubelet and scheduler.
func TestPodTrouble(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*corev1.Pod)
		want   string // empty: no trouble
		remedy string
	}{
		"ready": {func(*corev1.Pod) {}, "", ""},
		"evicted": {func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "disk pressure"}
		}, "Failed: Evicted: disk pressure", "describe"},
		"unschedulable": {func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/2 nodes"}}}
		}, "Pending: 0/2 nodes", "describe"},
		"no scheduler": {func(p *corev1.Pod) { p.Spec.NodeName, p.Status = "", corev1.PodStatus{} }, "Pending: no node was chosen", "describe"},
		"image":        {func(p *corev1.Pod) { stuck(p, "ImagePullBackOff", "not found") }, "ImagePullBackOff: not found", "can pull example/underlay:v1"},
		"creating":     {func(p *corev1.Pod) { stuck(p, "ContainerCreating", "") }, "starting", "describe"},
		"crash": {func(p *corev1.Pod) {
			stuck(p, "CrashLoopBackOff", "back-off")
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 2, Message: "no region\n"}
		}, "CrashLoopBackOff: it ended with exit code 2: no region", "--previous"},
		"probe": {func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }, "running, but not ready", "logs"},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod("a", ComponentAgent, "node-0000")
			tt.change(&p)
			reason, remedy := podTrouble(&p, ComponentAgent)
			if !strings.HasPrefix(reason, tt.want) || tt.want == "" && reason != "" || !strings.Contains(remedy, tt.remedy) {
				t.Errorf("%q, %q; want %q, %q", reason, remedy, tt.want, tt.remedy)
			}
		})
	}
}

// TestManyNodesAreOneFinding: what is wrong with all of five thousand nodes is said once.
func TestManyNodesAreOneFinding(t *testing.T) {
	s := fine()
	s.install()
	for i := range 5000 {
		s.cluster.WithoutCNI = append(s.cluster.WithoutCNI, fmt.Sprintf("node-%04d", i+2))
	}
	got := Health(Inputs{Cluster: s.cluster})
	if len(got) != 1 || got[0].Object != "5,000 nodes" {
		t.Errorf("%d findings, the first %+v", len(got), got[0])
	}
}

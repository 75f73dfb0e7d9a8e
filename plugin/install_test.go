// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

func deploymentKind() schema.GroupVersionKind {
	return appsv1.SchemeGroupVersion.WithKind("Deployment")
}

// TestInit is the whole: from a bare cluster, whose nodes lack a CNI, until pods can have addresses; and once more.
func TestInit(t *testing.T) {
	s := newFreshStage(t)
	s.lackCNI(t)
	must(t, 0, "check")
	must(t, 0, "init --dry-run=server")
	if got := s.names(t, crdKind()); slices.Contains(got, "underlaynetworks.underlay.dev") {
		t.Errorf("--dry-run=server wrote %v", got)
	}
	wait := background(t, "init --yes --timeout 100s")
	s.operatorRuns(t)
	s.operatorDerives(t)
	s.agentsRun(t)
	s.agentsReport(t)
	s.nodeReady(t, corev1.ConditionTrue, "kubelet is posting ready status")
	first := wait()
	if first.code != 0 {
		t.Fatalf("exit code %d:\n%s\n%s", first.code, first.stdout, first.stderr)
	}
	golden(t, "online-install", first.stdout)
	golden(t, "online-install-steps", withoutTimes(first.stderr))
	golden(t, "online-status", must(t, 0, "status").stdout)
	golden(t, "online-status-json", must(t, 0, "status -o json").stdout)

	// Attachments are the operator's, and nobody has made one here.
	contains(t, must(t, 1, "plan").stdout, "+ NetworkAttachmentDefinition", "No changes (19 objects as planned)")
	s.kubectl(t, `{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":"ipvlan-eni0","namespace":"kube-system"},"spec":{"config":""}}`,
		"create", "-f", "-")
	contains(t, must(t, 1, "plan").stdout, "~ NetworkAttachmentDefinition")
}

// withoutTimes takes away how long steps took.
func withoutTimes(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if i := strings.LastIndex(line, "  "); i > 0 && strings.HasSuffix(line, "s") && !strings.Contains(line[i+2:], " ") {
			if _, err := time.ParseDuration(line[i+2:]); err == nil {
				line = line[:i]
			}
		}
		if strings.HasPrefix(line, " ") || !strings.Contains(line, ": ") { // else how far a step is
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// TestInitAgain changes nothing and waits for nothing.
func TestInitAgain(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	before := s.snapshot(t)
	r := must(t, 0, "init --yes")
	if strings.Contains(r.stdout, "~") {
		t.Errorf("something changes:\n%s", r.stdout)
	}
	if diff := cmp.Diff(before, s.snapshot(t)); diff != "" {
		t.Errorf("the second run changed something:\n%s", diff)
	}
	must(t, 0, "status --wait")
}

// TestDefaultNetwork: where no node has a CNI, the first network becomes the default; --default decides otherwise.
func TestDefaultNetwork(t *testing.T) {
	for _, c := range []struct {
		name, line string
		lack       bool
		want       string
	}{
		{"nodes lack a CNI", "init --export", true, "default: true"},
		{"but the user does not want it", "init --export --default=no", true, ""},
		{"nor without an operator", "init --export --no-operator", true, ""},
		{"nothing is known of the nodes", "init --export", false, ""},
		{"but the user wants it", "init --export --default=yes", false, "default: true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			if c.lack {
				s.lackCNI(t)
			}
			export := must(t, 0, c.line).stdout
			_, network, _ := strings.Cut(export, "kind: UnderlayNetwork\nmetadata")
			if got := strings.Contains(network, "default: true"); got != (c.want != "") {
				t.Errorf("default: %t, want %t, in\n%s", got, c.want != "", network)
			}
		})
	}
	s := newStage(t)
	s.lackCNI(t)
	c := s.typed(t)
	var node corev1.Node
	if err := c.Get(t.Context(), client.ObjectKey{Name: "master"}, &node); err != nil {
		t.Fatal(err)
	}
	node.Status.Conditions[0].Status = corev1.ConditionTrue
	if err := c.Status().Update(t.Context(), &node); err != nil {
		t.Fatal(err)
	}
	if export := must(t, 0, "init --export").stdout; strings.Contains(export, "default: true\n  interfaceSelector") {
		t.Errorf("a node is ready, so it has a CNI, which would be pushed aside:\n%s", export)
	}
}

// TestWaitFails: when time runs out, init says what is missing, and why.
func TestWaitFails(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T, *stage)
		want []string
	}{
		{"no operator", func(*testing.T, *stage) {}, []string{"✗ operator", "operator-not-ready", "none of 2 replicas is available", "no pods yet"}},
		{
			"image of the operator",
			func(t *testing.T, s *stage) {
				s.pod(t, "underlay-operator-a", "operator", "master", waiting("ImagePullBackOff", `Back-off pulling image "example/underlay:v1"`))
			},
			[]string{"✗ operator", "underlay-operator-a is ImagePullBackOff: Back-off pulling image", "init --image"},
		},
		{
			"operator not scheduled",
			func(t *testing.T, s *stage) {
				s.pod(t, "underlay-operator-a", "operator", "", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
					{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes are available: 2 Insufficient memory."}}})
			},
			[]string{"is Pending: 0/2 nodes are available: 2 Insufficient memory.", "describe pods"},
		},
		{
			"agent of one node",
			func(t *testing.T, s *stage) {
				s.operatorRuns(t)
				s.operatorDerives(t)
				s.agentsRun(t)
				s.agentsReport(t)
				s.pod(t, "underlay-agent-worker1", "agent", "worker1", waiting("CrashLoopBackOff", ""))
			},
			[]string{"✗ agents", "agent-not-ready", "node/worker1: CrashLoopBackOff", "logs underlay-agent-worker1 --previous"},
		},
		{
			"agent says no",
			func(t *testing.T, s *stage) {
				s.operatorRuns(t)
				s.operatorDerives(t)
				s.agentsRun(t)
				s.agentsReport(t)
				s.report(t, "worker1", v1alpha1.UnderlayNodeStatus{Conditions: []metav1.Condition{
					{Type: "Ready", Status: metav1.ConditionFalse, Reason: "MasterMissing", Message: "no link has MAC 02:00", LastTransitionTime: metav1.Now()}}})
			},
			[]string{"node/worker1: the agent says: MasterMissing: no link has MAC 02:00"},
		},
		{
			"operator cannot ask the cloud",
			func(t *testing.T, s *stage) {
				s.operatorRuns(t)
				s.agentsRun(t)
				s.agentsReport(t)
				s.networkReady(t, "eni0", metav1.ConditionFalse, "CloudUnreachable", "EC2 refuses: ec2:DescribeSubnets is missing")
			},
			[]string{"✗ pools", "network/eni0: CloudUnreachable: EC2 refuses", "pool-not-as-planned", "pool/eni0.0.v4.master: the operator has not made it yet"},
		},
		{
			"a pool differs",
			func(t *testing.T, s *stage) {
				s.operatorRuns(t)
				s.operatorDerives(t)
				s.agentsRun(t)
				s.agentsReport(t)
				s.kubectl(t, "", "patch", "underlaypool", "eni0.0.v4.master", "--type=merge", "-p", `{"spec":{"ranges":["172.31.28.32/28"]}}`)
			},
			[]string{"✗ pools", "pool/eni0.0.v4.master: spec.ranges is", "172.31.28.32/28", "planned is", "172.31.28.16/28"},
		},
		{
			"an agent is behind",
			func(t *testing.T, s *stage) {
				s.operatorRuns(t)
				s.operatorDerives(t)
				s.agentsRun(t)
				s.agentsReport(t, "eni0.0.v4.worker1")
			},
			[]string{"✗ nodes", "pool-not-observed", "node/worker1: the agent has not taken over the last change of 1 pool yet"},
		},
		{
			"the kubelets still wait",
			func(t *testing.T, s *stage) {
				s.kubectl(t, "", "patch", "underlaynetwork", "eni0", "--type=merge", "--field-manager=underlay", "-p", `{"spec":{"default":true}}`)
				s.operatorRuns(t)
				s.operatorDerives(t)
				s.agentsRun(t)
				s.agentsReport(t)
				s.lackCNI(t)
			},
			[]string{"✗ nodes", "node-without-cni", "2 nodes: the kubelet still waits for a CNI plugin, though network eni0 is the default", "/etc/cni/net.d"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			must(t, 0, "init --yes --wait=false")
			c.make(t, s)
			r := must(t, 3, "init --yes --force-conflicts --timeout 1500ms")
			contains(t, r.stderr, append(c.want, "not ready after 1.5s", "kubectl underlay status")...)
			must(t, 3, "status --wait --timeout 200ms")
			must(t, 0, "status")
		})
	}
}

// TestWaitRecovers: what is missing at first comes while init waits.
func TestWaitRecovers(t *testing.T) {
	s := newStage(t)
	must(t, 0, "init --yes --wait=false")
	s.pod(t, "underlay-operator-a", "operator", "master", waiting("ImagePullBackOff", "no route"))
	wait := background(t, "init --yes --timeout 100s")
	time.Sleep(2 * time.Second) // init looks at least once before
	s.operatorRuns(t)
	s.operatorDerives(t)
	s.agentsRun(t)
	s.agentsReport(t)
	if r := wait(); r.code != 0 {
		t.Errorf("exit code %d:\n%s", r.code, r.stderr)
	}
}

// TestOperatorAfterNoOperator installs an operator over pools that init has written, which stay as they are; the other
// way round is refused, since the operator would go on writing.
func TestOperatorAfterNoOperator(t *testing.T) {
	newStage(t)
	must(t, 0, initYes)
	r := must(t, 0, "init --yes --wait=false")
	contains(t, r.stdout, "+ Deployment", "From that, the operator makes:", "No changes (5 objects as planned)")
	if strings.Contains(r.stdout, "UnderlayNetwork  ") {
		t.Errorf("the network is as it was:\n%s", r.stdout)
	}
	contains(t, must(t, 2, initYes).stderr, "an operator runs", "leave --no-operator out", "uninstall", "nothing was written")
	must(t, 0, "init --no-operator --export")
}

// TestNewerImage: an older plugin does not replace a newer operator.
func TestNewerImage(t *testing.T) {
	s := newStage(t)
	must(t, 0, "init --yes --wait=false --image registry.example/underlay:v1.2.0")
	for _, line := range []string{"plan", "init --yes --wait=false", "init --yes --wait=false --image other/underlay:v1.1.9"} {
		contains(t, must(t, 2, line).stderr, "is newer: it runs v1.2.0", "upgrade kubectl underlay", "nothing was changed")
	}
	for _, image := range []string{"registry.example/underlay:v1.2.0-3-gabc", "registry.example:5000/underlay:v1.3.0", "registry.example/underlay:edge"} {
		contains(t, must(t, 0, "init --yes --wait=false --image "+image).stdout, "~ Deployment", image)
	}
	if got := s.names(t, deploymentKind()); !slices.Contains(got, "underlay-operator") {
		t.Errorf("deployments %v", got)
	}
}

// TestScaledByOthers: what somebody else has set is theirs, and the message does not speak of a file.
func TestScaledByOthers(t *testing.T) {
	s := newStage(t)
	must(t, 0, "init --yes --wait=false")
	s.kubectl(t, "", "patch", "deployment", "-n", systemNamespace, "underlay-operator", "--field-manager=jane", "-p", `{"spec":{"replicas":1}}`)
	contains(t, must(t, 2, "plan").stderr, "spec.replicas", "jane", "undo that", "--force-conflicts")
	must(t, 0, "init --yes --wait=false --force-conflicts")
}

// TestInitWithoutMultus: a default network serves pods by itself, and attachments are left to later.
func TestInitWithoutMultus(t *testing.T) {
	s := newStage(t)
	s.lackCNI(t)
	crd := s.take(t, "network-attachment-definitions.k8s.cni.cncf.io")
	t.Cleanup(func() { s.giveBack(t, crd) })
	r := must(t, 0, "init --yes --wait=false")
	contains(t, r.stderr, "i info  multus-crd-missing", "default network eni0")
	if strings.Contains(r.stdout, "NetworkAttachmentDefinition") {
		t.Errorf("an attachment is promised:\n%s", r.stdout)
	}
}

// TestNetworkIsBeingRemoved: nothing is applied over a network that is on its way out.
func TestNetworkIsBeingRemoved(t *testing.T) {
	s := newStage(t)
	s.installed(t)
	s.finalizers(t)
	s.kubectl(t, "", "delete", "underlaynetwork", "eni0", "--wait=false")
	contains(t, must(t, 2, "init --yes").stderr, "network eni0 is being removed")
	contains(t, must(t, 0, "status").stdout, "network/eni0: it is being removed")
}

// TestPlanSaysWhoChanges: json tells what init applies from what the operator derives.
func TestPlanSaysWhoChanges(t *testing.T) {
	var changes []struct{ Kind, By string }
	if err := json.Unmarshal([]byte(must(t, 1, "plan -o json --inventory "+walkthrough).stdout), &changes); err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		want := "init"
		if c.Kind == "UnderlayPool" || c.Kind == "NetworkAttachmentDefinition" {
			want = "operator"
		}
		if c.By != want {
			t.Errorf("%s by %s, want %s", c.Kind, c.By, want)
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestCloudErrors shows the one message for each way in which EC2 cannot be asked.
func TestCloudErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(*testing.T, *stage)
		want []string
	}{
		{
			"no credentials",
			func(t *testing.T, _ *stage) {
				t.Setenv("AWS_ACCESS_KEY_ID", "")
				t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			},
			[]string{"credentials", "AWS_PROFILE"},
		},
		{
			"expired credentials",
			func(_ *testing.T, s *stage) { s.cloud.SetCredentials(ec2sim.Expired) },
			[]string{"expired", "aws sso login"},
		},
		{
			"missing permission",
			func(_ *testing.T, s *stage) { s.cloud.Deny("DescribeSubnets") },
			[]string{"ec2:DescribeSubnets", "IAM"},
		},
		{
			"EC2 out of reach",
			func(_ *testing.T, s *stage) { s.cloud.Close() },
			[]string{"no answer", "connection refused", "AWS_ENDPOINT_URL"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			c.make(t, s)
			for _, line := range []string{"inspect", "check", "plan --no-operator", initYes} {
				r := must(t, 2, line)
				contains(t, r.stderr, c.want...)
				if got := strings.Count(strings.TrimSpace(r.stderr), "error:"); got != 1 {
					t.Errorf("%s: %d errors instead of one message:\n%s", line, got, r.stderr)
				}
			}
			if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 0 {
				t.Errorf("%v was written", got)
			}
		})
	}
}

// TestWrongRegion: EC2 answers, but has none of the nodes.
func TestWrongRegion(t *testing.T) {
	s := newStage(t)
	for _, node := range readWalkthrough(t).Nodes {
		err := s.cloud.Update(func(w *ec2sim.World) error { w.RemoveInstance(node.InstanceID); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	r := must(t, 2, initYes+" --region us-east-1")
	contains(t, r.stderr, "us-east-1", "--region")
}

func TestNoNodes(t *testing.T) {
	s := newStage(t)
	for _, name := range []string{"master", "worker1"} {
		node := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": name}}}
		if err := s.client.Delete(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	contains(t, must(t, 2, initYes).stderr, "no nodes", "--inventory")
}

// TestNodeCreatedAnew: the garbage collector would delete pools owned by a node that is gone.
func TestNodeCreatedAnew(t *testing.T) {
	s := newStage(t)
	file := write(t, "inventory.yaml", must(t, 0, "inspect -o yaml").stdout)
	newStage(t) // removes the nodes and makes them anew
	r := must(t, 2, initYes+" --inventory "+file)
	contains(t, r.stderr, "node master was created anew", "inspect -o yaml")
	if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 0 {
		t.Errorf("%v was written", got)
	}
}

func TestNetworkMatchesNoNode(t *testing.T) {
	newStage(t)
	file := write(t, "network.yaml", network("apart", "  nodeSelector: {matchLabels: {pool: gpu}}\n"))
	r := must(t, 0, "init --no-operator --dry-run=client --network "+file)
	contains(t, r.stderr, "network-without-nodes", "apart")
}

// TestMultusIsMissing: attachments could not be used, so nothing is written.
func TestMultusIsMissing(t *testing.T) {
	s := newStage(t)
	crd := s.take(t, "network-attachment-definitions.k8s.cni.cncf.io")
	t.Cleanup(func() { s.giveBack(t, crd) })
	r := must(t, 2, initYes)
	contains(t, r.stderr, "multus-crd-missing", "does not serve NetworkAttachmentDefinition", "nothing was written")
	if got := s.names(t, underlayKind("UnderlayPool")); len(got) != 0 {
		t.Errorf("%v was written", got)
	}
}

// TestNewerCRD: an older plugin does not take fields away from a newer operator.
func TestNewerCRD(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	name := "underlaypools.underlay.dev"
	s.kubectl(t, "", "annotate", "crd", name, "--overwrite", "underlay.dev/crd-revision=99")
	t.Cleanup(func() { s.kubectl(t, "", "annotate", "crd", name, "--overwrite", "underlay.dev/crd-revision=1") })
	r := must(t, 2, initYes)
	contains(t, r.stderr, name, "newer", "99", "upgrade")
}

// TestConflict: a field that somebody else has set is not taken over unasked.
func TestConflict(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes)
	s.kubectl(t, "", "patch", "underlaynetwork", "eni0", "--type=merge", "--field-manager=jane", "-p", `{"spec":{"cooldownSeconds":60}}`)
	file := write(t, "network.yaml", network("eni0", "  cooldownSeconds: 90\n"))
	r := must(t, 2, initYes+" --network "+file)
	contains(t, r.stderr, "eni0", "spec.cooldownSeconds", "jane", "--force-conflicts")
	must(t, 0, initYes+" --force-conflicts --network "+file)
	must(t, 0, "plan --no-operator --network "+file)
}

// TestHalfApplied: what was written and what was not is said, and a second run completes it.
func TestHalfApplied(t *testing.T) {
	s := newStage(t)
	must(t, 0, initYes) // the CRDs
	s.empty(t)
	s = newStage(t)
	s.actAs(t, "half", rbacv1.PolicyRule{APIGroups: []string{"", "apps"}, Resources: []string{"nodes", "daemonsets", "deployments", "configmaps"}, Verbs: []string{"get", "list"}},
		rbacv1.PolicyRule{APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}, Verbs: []string{"get", "patch"}},
		rbacv1.PolicyRule{APIGroups: []string{"underlay.dev"}, Resources: []string{"*"}, Verbs: []string{"get", "list"}},
		rbacv1.PolicyRule{APIGroups: []string{"k8s.cni.cncf.io"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "create", "patch"}},
		rbacv1.PolicyRule{APIGroups: []string{"underlay.dev"}, Resources: []string{"underlaynetworks"}, Verbs: []string{"create", "patch"}},
	)
	r := must(t, 2, initYes)
	contains(t, r.stderr, "1 of 6 objects were written", "missing permission", "underlaypools", "run the same command again")
	if got := s.names(t, underlayKind("UnderlayNetwork")); len(got) != 1 {
		t.Fatalf("networks %v, want the one that was written", got)
	}
	s.actAsAdmin(t)
	contains(t, must(t, 0, initYes).stdout, "5 to create")
	must(t, 0, "plan --no-operator")
}

// TestForbidden: a user without permissions learns which one is missing.
func TestForbidden(t *testing.T) {
	s := newStage(t)
	s.actAs(t, "nobody")
	contains(t, must(t, 2, "inspect").stderr, "missing permission", "nodes", "nobody")
}

// TestTimeout ends with its own exit code.
func TestTimeout(t *testing.T) {
	s := newStage(t)
	s.cloud.Inject(ec2sim.Fault{Delay: time.Minute})
	contains(t, must(t, 3, initYes+" --timeout 300ms").stderr, "300ms", "--timeout")
}

func TestInterrupt(t *testing.T) {
	s := newStage(t)
	s.cloud.Inject(ec2sim.Fault{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if r := (shell{}).run(ctx, strings.Fields(initYes)...); r.code != 130 {
		t.Errorf("exit code %d, want 130: %s", r.code, r.stderr)
	}
}

// network is a file of a network on device index 0, with more lines for its spec.
func network(name, spec string) string {
	return "apiVersion: underlay.dev/v1alpha1\nkind: UnderlayNetwork\nmetadata: {name: " + name + "}\nspec:\n" +
		"  interfaceSelector: {deviceIndexes: [0]}\n" + spec
}

// take removes a CRD and waits until it is gone.
func (s *stage) take(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(crdKind())
	if err := s.client.Get(t.Context(), client.ObjectKey{Name: name}, crd); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "", "delete", "crd", name, "--wait")
	return crd
}

// giveBack creates a CRD that was taken, and waits until it is served.
func (s *stage) giveBack(t *testing.T, crd *unstructured.Unstructured) {
	t.Helper()
	crd.SetResourceVersion("")
	if err := s.client.Create(context.Background(), crd); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "", "wait", "--for=condition=Established", "crd/"+crd.GetName())
}

// actAs makes the plugin use the credentials of a user who may do what the rules say.
func (s *stage) actAs(t *testing.T, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	user, err := plane.ForTest(t).AddUser(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) > 0 {
		meta := metav1.ObjectMeta{Name: name}
		role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta,
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		}
		for _, object := range []client.Object{role, binding} {
			if err := s.client.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
		}
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := user.WriteKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
}

func (s *stage) actAsAdmin(t *testing.T) {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := plane.ForTest(t).WriteKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
}

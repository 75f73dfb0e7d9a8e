// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// TestAgentPolicy talks to the API server with tokens as kubelets ask for them: an agent may report for its own node,
// and neither for another nor with a token that says no node.
func TestAgentPolicy(t *testing.T) {
	cluster := install(t)
	admin := clientOf(t, cluster.Config)
	create(t, admin, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker1"}})
	create(t, admin, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker2"}})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "underlay-agent-1", Namespace: manifests.Namespace},
		Spec: corev1.PodSpec{
			NodeName: "worker1", ServiceAccountName: "underlay-agent",
			Containers: []corev1.Container{{Name: "agent", Image: "agent"}},
		},
	}
	create(t, admin, pod)
	onNode := withToken(t, cluster.Config, &authenticationv1.BoundObjectReference{
		APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
	})
	onNone := withToken(t, cluster.Config, nil)

	// A policy begins to hold shortly after it was stored.
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		err := onNone.Create(t.Context(), underlayNode("nobody"), client.DryRunAll)
		if apierrors.IsForbidden(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		t.Fatalf("the policy does not begin to hold: %v", err)
	}

	if err := report(t, admin, "worker2"); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name         string
		as           client.Client
		node, status string // whose object is created, and whose status written
		want         string // empty: allowed
	}{
		{"its own", onNode, "worker1", "worker1", ""},
		{"another's", onNode, "worker3", "worker2", "the agent of node worker1 writes UnderlayNode worker1 only, not worker"},
		{"a token without node", onNone, "worker4", "worker1", "this token of underlay-agent is bound to no node"},
		{"an administrator", admin, "worker5", "worker2", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for what, err := range map[string]error{
				"create": report(t, test.as, test.node),
				"status": reportStatus(t, admin, test.as, test.status),
			} {
				if test.want == "" && err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("%s: error is %v, want one that forbids it and says %q", what, err, test.want)
				}
			}
		})
	}
}

func create(t *testing.T, api client.Client, object client.Object) {
	t.Helper()
	if err := api.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

// withToken gives a client with a token of the agents' service account that is bound to the object, if any.
func withToken(t *testing.T, config *rest.Config, bound *authenticationv1.BoundObjectReference) client.Client {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "underlay-agent", Namespace: manifests.Namespace}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}
	if err := clientOf(t, config).SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	with := rest.AnonymousClientConfig(config)
	with.BearerToken = request.Status.Token
	return clientOf(t, with)
}

func underlayNode(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(), "kind": "UnderlayNode", "metadata": map[string]any{"name": name},
	}}
}

// report creates an UnderlayNode as agents do, unless it is there.
func report(t *testing.T, api client.Client, node string) error {
	t.Helper()
	if err := api.Create(t.Context(), underlayNode(node)); !apierrors.IsAlreadyExists(err) {
		return err
	}
	return nil
}

// reportStatus updates its status.
func reportStatus(t *testing.T, admin, api client.Client, node string) error {
	t.Helper()
	object := underlayNode(node)
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	object.Object["status"] = map[string]any{"kernelVersion": "6.1.0"}
	return api.Status().Update(t.Context(), object)
}

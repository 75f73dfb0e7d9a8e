// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

func installed(t *testing.T, opts manifests.Options) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifests.Install(opts)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// TestInstallOrder: nothing comes before what it needs, and agents only start once the policy holds them.
func TestInstallOrder(t *testing.T) {
	var kinds []string
	for _, object := range installed(t, manifests.Options{}) {
		kinds = append(kinds, object.GetKind())
	}
	want := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
		"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		"Deployment", "DaemonSet",
	}
	if diff := cmp.Diff(want, slices.Compact(kinds)); diff != "" {
		t.Errorf("order differs (-want +got):\n%s", diff)
	}
}

// TestInstallLabels: everything of ours can be found by its label, CRDs apart, which are found by their group.
func TestInstallLabels(t *testing.T) {
	for _, object := range installed(t, manifests.Options{}) {
		if object.GetKind() != "CustomResourceDefinition" && object.GetLabels()["app.kubernetes.io/name"] != "underlay" {
			t.Errorf("%s %s has no label app.kubernetes.io/name=underlay", object.GetKind(), object.GetName())
		}
	}
}

// TestInstallOptions: options reach both workloads and nothing else.
func TestInstallOptions(t *testing.T) {
	plain := installed(t, manifests.Options{})
	changed := installed(t, manifests.Options{Image: "registry.example/underlay:v1.2.3", PullPolicy: "Never"})
	var differ []string
	for i := range plain {
		if cmp.Equal(plain[i], changed[i]) {
			continue
		}
		differ = append(differ, plain[i].GetKind())
		for _, object := range []*unstructured.Unstructured{plain[i], changed[i]} {
			containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatalf("%d containers, error %v", len(containers), err)
			}
			container := containers[0].(map[string]any) //nolint:errcheck // a container is an object
			if object == changed[i] && (container["image"] != "registry.example/underlay:v1.2.3" || container["imagePullPolicy"] != "Never") {
				t.Errorf("%s: image %v, pull policy %v", object.GetName(), container["image"], container["imagePullPolicy"])
			}
			delete(container, "image")
			delete(container, "imagePullPolicy")
			if err := unstructured.SetNestedSlice(object.Object, containers, "spec", "template", "spec", "containers"); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(plain[i], changed[i]); diff != "" {
			t.Errorf("%s differs in more than its image:\n%s", plain[i].GetName(), diff)
		}
	}
	if diff := cmp.Diff([]string{"Deployment", "DaemonSet"}, differ); diff != "" {
		t.Errorf("the options reached (-want +got):\n%s", diff)
	}
}

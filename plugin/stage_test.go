// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// stage is a cluster of the walkthrough's nodes, and their cloud.
type stage struct {
	client client.Client
	config *rest.Config
	cloud  *ec2sim.Server
	bin    string
}

// newStage has the walkthrough's nodes, on the API server that tests share; what earlier tests left there is removed,
// but for our CRDs.
func newStage(t *testing.T) *stage {
	t.Helper()
	return stageOn(t, plane.ForTest(t))
}

// newFreshStage has an API server of its own, which has never seen our CRDs.
func newFreshStage(t *testing.T) *stage {
	t.Helper()
	return stageOn(t, controlplane.ForTest(t, plane.Options))
}

// stageOn gives the API server the walkthrough's nodes, and points the plugin to it and to a cloud that has them.
func stageOn(t *testing.T, cluster *controlplane.ControlPlane) *stage {
	t.Helper()
	c, err := client.New(cluster.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{client: c, config: cluster.Config, bin: cluster.Bin}
	s.clearInstall(t)
	s.empty(t)
	for _, node := range controlplane.NodesOf(readWalkthrough(t)) {
		if err := c.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	s.cloud = ec2sim.ForTest(t, readWalkthrough(t))
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.WriteKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	return s
}

func readWalkthrough(t *testing.T) v1alpha1.Inventory {
	t.Helper()
	out, err := document.OpenInventory(walkthrough)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func underlayKind(kind string) schema.GroupVersionKind {
	return v1alpha1.GroupVersion().WithKind(kind)
}

func attachmentKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
}

func crdKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
}

// empty removes nodes and everything that the plugin makes, but for the CRDs.
func (s *stage) empty(t *testing.T) {
	t.Helper()
	for _, gvk := range []schema.GroupVersionKind{
		corev1.SchemeGroupVersion.WithKind("Node"), underlayKind("UnderlayPool"), underlayKind("UnderlayNetwork"), attachmentKind(),
	} {
		for _, object := range s.list(t, gvk) {
			if err := s.client.Delete(t.Context(), &object); err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
	}
}

// list reads all objects of a kind, none if it is not served.
func (s *stage) list(t *testing.T, gvk schema.GroupVersionKind) []unstructured.Unstructured {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	if err := s.client.List(t.Context(), list); err != nil && !meta.IsNoMatchError(err) {
		t.Fatal(err)
	}
	return list.Items
}

// snapshot is everything that the plugin makes, without what only the API server sets.
func (s *stage) snapshot(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, gvk := range []schema.GroupVersionKind{underlayKind("UnderlayPool"), underlayKind("UnderlayNetwork"), attachmentKind(), crdKind()} {
		for _, object := range s.list(t, gvk) {
			metadata, _ := object.Object["metadata"].(map[string]any)
			for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
				delete(metadata, field)
			}
			delete(object.Object, "status")
			out[gvk.Kind+"/"+object.GetNamespace()+"/"+object.GetName()] = object.Object
		}
	}
	return out
}

// names of all objects of a kind.
func (s *stage) names(t *testing.T, gvk schema.GroupVersionKind) []string {
	t.Helper()
	var names []string
	for _, object := range s.list(t, gvk) {
		names = append(names, object.GetName())
	}
	slices.Sort(names)
	return names
}

// ec2 is the SDK's client, for what a cloud's administrator does.
func (s *stage) ec2(t *testing.T) *ec2.Client {
	t.Helper()
	config, err := awsconfig.LoadDefaultConfig(t.Context(), awsconfig.WithRegion("ap-southeast-1"))
	if err != nil {
		t.Fatal(err)
	}
	return ec2.NewFromConfig(config)
}

// assignPrefix gives an interface one IPv4 prefix more.
func (s *stage) assignPrefix(t *testing.T, id string) {
	t.Helper()
	one := int32(1)
	_, err := s.ec2(t).AssignPrivateIpAddresses(t.Context(), &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &id, Ipv4PrefixCount: &one})
	if err != nil {
		t.Fatal(err)
	}
}

// unassignPrefixes takes all IPv4 prefixes from an interface.
func (s *stage) unassignPrefixes(t *testing.T, id string) {
	t.Helper()
	api := s.ec2(t)
	seen, err := api.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	var prefixes []string
	for _, prefix := range seen.NetworkInterfaces[0].Ipv4Prefixes {
		prefixes = append(prefixes, *prefix.Ipv4Prefix)
	}
	_, err = api.UnassignPrivateIpAddresses(t.Context(), &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &id, Ipv4Prefixes: prefixes})
	if err != nil {
		t.Fatal(err)
	}
}

// kubectl runs the real one.
func (s *stage) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.tryKubectl(t, stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *stage) tryKubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	// Cleanups call it too, after the test's own context has ended.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(s.bin, "kubectl"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(bytes.TrimSpace(out)), err
}

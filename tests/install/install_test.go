// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/manifests"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

var (
	plane     = controlplane.Shared{Options: controlplane.Options{CRDs: [][]byte{controlplane.MultusCRD()}}}
	installed sync.Once
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // controller-runtime complains unless it is told
	os.Exit(plane.Main(m))
}

// install applies everything, once for all tests, and gives the cluster.
func install(t *testing.T) *controlplane.ControlPlane {
	t.Helper()
	cluster := plane.ForTest(t)
	installed.Do(func() { applyAll(t, clientOf(t, cluster.Config), objects(t)) })
	return cluster
}

func objects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	all, err := manifests.Install(manifests.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// clientOf gives a client that lets no unknown field pass and is not slowed down.
func clientOf(t *testing.T, config *rest.Config) client.Client {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	api, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(api, metav1.FieldValidationStrict)
}

func applyAll(t *testing.T, api client.Client, all []*unstructured.Unstructured) {
	t.Helper()
	for _, object := range all {
		if err := api.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.FieldOwner("test")); err != nil {
			t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// TestAccepted applies everything in its order, strictly, then again: the second time nothing may change, or the API
// server reads something else than what we wrote.
func TestAccepted(t *testing.T) {
	api := clientOf(t, install(t).Config)
	versions := func() map[string]string {
		found := map[string]string{}
		for _, object := range objects(t) {
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
				t.Fatal(err)
			}
			found[identity(object)] = fmt.Sprint(object.GetUID(), " ", generation(object))
		}
		return found
	}
	before := versions()
	applyAll(t, api, objects(t))
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("applied again, and something changed (-first +second):\n%s", diff)
	}
}

// generation counts the changes of an object's spec; where the kind counts none, the version stands for it.
func generation(object *unstructured.Unstructured) string {
	if n := object.GetGeneration(); n > 0 {
		return strconv.FormatInt(n, 10)
	}
	return object.GetResourceVersion()
}

func identity(object *unstructured.Unstructured) string {
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

// TestKustomize compares what the plugin embeds with what kustomize makes of the same folder.
func TestKustomize(t *testing.T) {
	kubectl := filepath.Join(plane.ForTest(t).Bin, "kubectl")
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "../../manifests/base").Output()
	if err != nil {
		t.Fatalf("kubectl kustomize: %v\n%s", err, stderr(err))
	}
	var want []*unstructured.Unstructured
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(out))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		object := &unstructured.Unstructured{}
		if err := errors.Join(err, utilyaml.Unmarshal(document, &object.Object)); err != nil {
			t.Fatal(err)
		}
		want = append(want, object)
	}
	got := objects(t)
	for _, list := range [][]*unstructured.Unstructured{want, got} {
		slices.SortFunc(list, func(a, b *unstructured.Unstructured) int { return strings.Compare(identity(a), identity(b)) })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs (-kustomize +embedded):\n%s", diff)
	}
}

// TestKubectl does what docs/how-to/install.md tells users of kustomize to do, and what careful ones do before.
func TestKubectl(t *testing.T) {
	cluster := install(t) // over what is there: a dry run knows only the kinds of definitions that exist
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.WriteKubeconfig(kubeconfig); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"create, client": {"create", "--dry-run=client"},
		"apply, server":  {"apply", "--dry-run=server", "--server-side", "--force-conflicts"},
	} {
		t.Run(name, func(t *testing.T) {
			args = append(args, "-k", "../../manifests/base", "--validate=strict", "--kubeconfig", kubeconfig, "--cache-dir", t.TempDir())
			out, err := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin, "kubectl"), args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got, want := strings.Count(string(out), "\n"), len(objects(t)); got != want {
				t.Errorf("%d lines, want one for each of %d objects and no warning:\n%s", got, want, out)
			}
		})
	}
}

func stderr(err error) string {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(exit.Stderr)
	}
	return ""
}

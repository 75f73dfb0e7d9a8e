// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var plane = Shared{Options: Options{
	CRDs:          append(SpiderpoolCRDs(), MultusCRD()),
	Objects:       []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "from-options"}}},
	APIServerArgs: []string{"--service-cluster-ip-range=10.96.0.0/16,fd00:96::/108"},
}}

func TestMain(m *testing.M) {
	if os.Getenv(startAndHang) != "" {
		if err := hang(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(plane.Main(m))
}

func newClient(t *testing.T, user User) client.Client {
	t.Helper()
	api, err := client.New(user.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestObjects(t *testing.T) {
	api := newClient(t, plane.ForTest(t).User)
	objects := map[string]client.Object{
		"node":       &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker1"}},
		"config map": &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "from-options"}},
		"attachment": &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
			"metadata": map[string]any{"name": "ipvlan-ens6", "namespace": "kube-system"},
		}},
		"Spiderpool's pool": &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "spiderpool.spidernet.io/v2beta1", "kind": "SpiderIPPool",
			"metadata": map[string]any{"name": "ens6"},
			"spec":     map[string]any{"subnet": "172.31.32.0/24"},
		}},
	}
	for name, object := range objects {
		t.Run(name, func(t *testing.T) {
			if err := api.Create(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			if object.GetUID() == "" {
				t.Error("the API server gave it no UID")
			}
		})
	}
}

func TestAPIServerArgs(t *testing.T) {
	api := newClient(t, plane.ForTest(t).User)
	service := &corev1.Service{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "kubernetes"}, service); err != nil {
		t.Fatal(err)
	}
	if want := "10.96.0.1"; service.Spec.ClusterIP != want {
		t.Errorf("service kubernetes has address %s, want %s", service.Spec.ClusterIP, want)
	}
}

func TestRestrictedUser(t *testing.T) {
	cluster := plane.ForTest(t)
	user, err := cluster.AddUser("jane", "readers")
	if err != nil {
		t.Fatal(err)
	}
	err = newClient(t, user).List(t.Context(), &corev1.NodeList{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `User "jane"`) {
		t.Errorf("listing nodes: %v, want it to be forbidden to jane", err)
	}
}

func TestKubectl(t *testing.T) {
	cluster := plane.ForTest(t)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin, "kubectl"), "--kubeconfig", path, "version").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{"Client Version: v1.37.2", "Server Version: v1.37.2"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("kubectl version does not say %q:\n%s", want, output)
		}
	}
}

func TestBinariesReused(t *testing.T) {
	first := plane.ForTest(t).Bin
	var progress bytes.Buffer
	start := time.Now()
	again, err := Binaries(t.Context(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	if again != first || progress.Len() > 0 {
		t.Errorf("the second call returned %s and said %q, want %s and nothing", again, progress.String(), first)
	}
	t.Logf("the second call took %s", time.Since(start))
}

func TestProgramVersions(t *testing.T) {
	pins, err := os.ReadFile("binaries/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range Programs().Programs {
		module, _, _ := strings.Cut(program.Package, "/cmd/")
		if pin := module + " " + program.Version; !bytes.Contains(pins, []byte(pin)) {
			t.Errorf("%s: binaries/go.mod does not require %s", program.Name, pin)
		}
		if tool := "\t" + program.Package + "\n"; !bytes.Contains(pins, []byte(tool)) {
			t.Errorf("%s: binaries/go.mod has no tool %s", program.Name, program.Package)
		}
	}
}

func TestStartFailure(t *testing.T) {
	tests := map[string]struct {
		opts Options
		want string
	}{
		"argument without a value": {Options{APIServerArgs: []string{"--v"}}, "write it as --name=value"},
		"not a definition":         {Options{CRDs: [][]byte{[]byte("- 1")}}, "read a CustomResourceDefinition"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one that says %q", err, test.want)
			}
		})
	}
}

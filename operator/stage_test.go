// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/internal/document"
	"github.com/underlay-dev/kubectl-underlay/operator"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// patience is how long the tests wait for what must happen.
const patience = 60 * time.Second

const walkthrough = "../docs/examples/walkthrough.yaml"

var plane = controlplane.Shared{Options: planeOptions(controlplane.MultusCRD())}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard()) // libraries below; the operator has its own
	klog.SetLogger(logr.Discard())
	os.Exit(plane.Main(m))
}

// planeOptions are those of a cluster into which the operator has been installed.
func planeOptions(crds ...[]byte) controlplane.Options {
	return controlplane.Options{
		CRDDirs:       []string{filepath.Join("..", "manifests", "crds")},
		CRDs:          crds,
		Objects:       controlplane.Permissions(),
		APIServerArgs: []string{"--service-cluster-ip-range=10.96.0.0/16,fd00:96::/108"},
	}
}

// stage is a cluster with the walkthrough's nodes, and their cloud.
type stage struct {
	client client.Client
	cloud  *ec2sim.Server
	clock  *clock
	// config is the operator's own user, with the permissions that it is installed with and no others.
	config *rest.Config
}

// clock is the operator's, moved by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newStage has the walkthrough's nodes on the API server that tests share, and nothing of ours.
func newStage(t *testing.T) *stage {
	t.Helper()
	return stageOn(t, plane.ForTest(t))
}

func stageOn(t *testing.T, cluster *controlplane.ControlPlane) *stage {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cluster.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:underlay-system:underlay-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:underlay-system", "system:authenticated"},
	}
	s := &stage{client: c, config: config, clock: &clock{now: time.Now()}}
	s.empty(t)
	inventory := readWalkthrough(t)
	for _, node := range controlplane.NodesOf(inventory) {
		if err := c.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	s.cloud = ec2sim.ForTest(t, inventory)
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

func attachmentKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
}

// empty removes what earlier tests have left.
func (s *stage) empty(t *testing.T) {
	t.Helper()
	attachments := &unstructured.UnstructuredList{}
	attachments.SetGroupVersionKind(attachmentKind())
	for _, list := range []client.ObjectList{&v1alpha1.UnderlayNetworkList{}, &v1alpha1.UnderlayPoolList{}, &v1alpha1.UnderlayNodeList{},
		&corev1.NodeList{}, &eventsv1.EventList{}, attachments} {
		if err := s.client.List(t.Context(), list); meta.IsNoMatchError(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		err := meta.EachListItem(list, func(item runtime.Object) error {
			object, _ := item.(client.Object)
			if len(object.GetFinalizers()) > 0 {
				object.SetFinalizers(nil)
				if err := s.client.Update(t.Context(), object); err != nil {
					return client.IgnoreNotFound(err)
				}
			}
			return client.IgnoreNotFound(s.client.Delete(t.Context(), object))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// running is an operator.
type running struct {
	cancel context.CancelFunc
	ended  chan error
}

// operate runs an operator until the test ends, or stop is called.
func (s *stage) operate(t *testing.T, change ...func(*operator.Options)) *running {
	t.Helper()
	options := operator.Options{
		Refresh: 200 * time.Millisecond, Retry: 100 * time.Millisecond, Debounce: 10 * time.Millisecond, Lease: 8 * time.Second,
		Now: s.clock.Now,
	}
	if testing.Verbose() {
		options.Log = logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil)) // it logs after the test's end too
	}
	for _, f := range change {
		f(&options)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel: cancel, ended: make(chan error, 1)}
	go func() {
		r.ended <- operator.Run(ctx, s.config, aws.New(aws.Options{Region: "ap-southeast-1"}), options)
	}()
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.ended; err != nil {
		t.Errorf("the operator ended with: %v", err)
	}
}

// network applies a network as a user would.
func (s *stage) network(t *testing.T, name string, device int32, change ...func(*v1alpha1.UnderlayNetwork)) *v1alpha1.UnderlayNetwork {
	t.Helper()
	n := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Spec.InterfaceSelector.DeviceIndexes = []int32{device}
	for _, f := range change {
		f(n)
	}
	if err := s.client.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually waits until check finds nothing to object to.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

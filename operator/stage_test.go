// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
		Objects:       append([]client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "underlay-system"}}}, permissions()...),
		APIServerArgs: []string{"--service-cluster-ip-range=10.96.0.0/16,fd00:96::/108"},
	}
}

// stage is a cluster with the walkthrough's nodes, and their cloud.
type stage struct {
	client client.Client
	cloud  *ec2sim.Server
	clock  *clock
	// config is the operator's own user, with the permissions that package operator names and no others.
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
	user, err := cluster.AddUser(operatorUser)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{client: c, config: user.Config, clock: &clock{now: time.Now()}}
	s.empty(t)
	inventory := readWalkthrough(t)
	for _, node := range controlplane.NodesOf(inventory) {
		if err := c.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	if s.cloud, err = ec2sim.New(inventory); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cloud.Close)
	t.Setenv("AWS_ENDPOINT_URL", s.cloud.URL())
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return s
}

func readWalkthrough(t *testing.T) v1alpha1.Inventory {
	t.Helper()
	file, err := os.Open(walkthrough)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out, err := document.ReadInventory(walkthrough, file)
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

// pools by name.
func (s *stage) pools(t *testing.T) map[string]v1alpha1.UnderlayPool {
	t.Helper()
	var list v1alpha1.UnderlayPoolList
	if err := s.client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]v1alpha1.UnderlayPool{}
	for _, p := range list.Items {
		out[p.Name] = p
	}
	return out
}

// refreshes waits until the operator has asked the cloud n more times, with an answer each time.
func (s *stage) refreshes(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		c := 0
		for _, call := range s.cloud.Calls() {
			if call.Action == "DescribeVpcs" && call.Error == "" {
				c++
			}
		}
		return c
	}
	// One may be under way, begun before what the test has just done.
	want := count() + n + 1
	eventually(t, func() error {
		if got := count(); got < want {
			return fmt.Errorf("%d snapshots, want %d", got, want)
		}
		return nil
	})
}

// expect waits until the pool has these ranges and draining ones; none means that the pool is not there.
func (s *stage) expect(t *testing.T, pool string, ranges, draining string) v1alpha1.UnderlayPool {
	t.Helper()
	var found v1alpha1.UnderlayPool
	eventually(t, func() error {
		p, exists := s.pools(t)[pool]
		if !exists && ranges == "" {
			return nil
		}
		found = p
		if got := joined(p.Spec.Ranges); !exists || got != ranges || joined(p.Spec.Draining) != draining {
			return fmt.Errorf("pool %s (there: %v) has %s, draining %s; want %s, draining %s\n%s", pool, exists, got, joined(p.Spec.Draining), ranges, draining, s.describe(t))
		}
		return nil
	})
	return found
}

func joined[S ~string](list []S) string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return strings.Join(out, " ")
}

// expectCondition waits until a condition has a reason, and returns its message.
func (s *stage) expectCondition(t *testing.T, object client.Object, kind, reason string) metav1.Condition {
	t.Helper()
	var found metav1.Condition
	eventually(t, func() error {
		if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		var conditions []metav1.Condition
		switch o := object.(type) {
		case *v1alpha1.UnderlayNetwork:
			conditions = o.Status.Conditions
		case *v1alpha1.UnderlayPool:
			conditions = o.Status.Conditions
		}
		c := meta.FindStatusCondition(conditions, kind)
		if c == nil || c.Reason != reason {
			return fmt.Errorf("%s has %+v, want %s with reason %s", object.GetName(), conditions, kind, reason)
		}
		found = *c
		return nil
	})
	return found
}

func pool(name string) *v1alpha1.UnderlayPool {
	return &v1alpha1.UnderlayPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// attachment reads an attachment; nil if there is none.
func (s *stage) attachment(t *testing.T, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(attachmentKind())
	err := s.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, object)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// report writes what a node's agent would.
func (s *stage) report(t *testing.T, node string, pools ...v1alpha1.NodePool) {
	t.Helper()
	r := &v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if err := s.client.Create(t.Context(), r); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
		t.Fatal(err)
	}
	r.Status.Pools = pools
	if err := s.client.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// prefixes sets the IPv4 prefixes of worker1's interface in the cloud.
func (s *stage) prefixes(t *testing.T, prefixes ...string) {
	t.Helper()
	err := s.cloud.Update(func(w *ec2sim.World) error {
		w.Interfaces[worker1ENI].IPv4Prefixes = prefixList(prefixes...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// describe lists everything, for messages of failed tests.
func (s *stage) describe(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	pools := s.pools(t)
	var names []string
	for name := range pools {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p := pools[name]
		fmt.Fprintf(&out, "%s generation %d ranges %s exclude %s draining %s\n", name, p.Generation, joined(p.Spec.Ranges), joined(p.Spec.Exclude), joined(p.Spec.Draining))
		for _, c := range p.Status.Conditions {
			fmt.Fprintf(&out, "    %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
		}
	}
	var networks v1alpha1.UnderlayNetworkList
	if err := s.client.List(t.Context(), &networks); err != nil {
		t.Fatal(err)
	}
	for _, n := range networks.Items {
		fmt.Fprintf(&out, "network %s %+v\n", n.Name, n.Status)
	}
	return out.String()
}

func prefixList(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not say %q", text, part)
		}
	}
}

// expectEvent waits for an event about the object.
func (s *stage) expectEvent(t *testing.T, object, reason string, says ...string) {
	t.Helper()
	eventually(t, func() error {
		var list eventsv1.EventList
		if err := s.client.List(t.Context(), &list); err != nil {
			return err
		}
		var seen []string
		for _, e := range list.Items {
			if e.Regarding.Name != object {
				continue
			}
			if e.Reason == reason && !slices.ContainsFunc(says, func(part string) bool { return !strings.Contains(e.Note, part) }) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Note)
		}
		return fmt.Errorf("no event %s %v about %s among %q", reason, says, object, seen)
	})
}

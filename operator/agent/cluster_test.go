// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
)

var plane = controlplane.Shared{Options: controlplane.Options{CRDDirs: []string{"../../manifests/crds"}, Objects: controlplane.Permissions()}}

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	os.Exit(plane.Main(m))
}

// cluster is a node's view of the API server, and an administrator's.
type cluster struct {
	client.Client // the administrator's
	node          string
	config        *rest.Config // the agent's
}

// newCluster registers a node of the test's own.
func newCluster(t *testing.T, node string) *cluster {
	t.Helper()
	p := plane.ForTest(t)
	scheme, err := newScheme()
	must(t, err)
	config := rest.CopyConfig(p.Config)
	config.QPS = -1
	c := &cluster{node: node, config: rest.CopyConfig(config)}
	c.Client, err = client.New(config, client.Options{Scheme: scheme})
	must(t, err)
	c.config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:underlay-system:underlay-agent",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:underlay-system", "system:authenticated"},
		Extra:    map[string][]string{"authentication.kubernetes.io/node-name": {node}},
	}
	c.create(t, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{"a": "b"}},
		Spec:       corev1.NodeSpec{ProviderID: "aws:///zone/i-" + node},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.31.32.18"}, {Type: corev1.NodeHostName, Address: node}},
			Images:    []corev1.ContainerImage{{Names: []string{"large"}}},
		},
	})
	return c
}

// create makes an object that goes with the test.
func (c *cluster) create(t *testing.T, o client.Object) {
	t.Helper()
	must(t, c.Create(t.Context(), o))
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(c.Delete(context.WithoutCancel(t.Context()), o)); err != nil {
			t.Error(err)
		}
	})
}

func (c *cluster) network(t *testing.T, name string, change func(*v1alpha1.UnderlayNetworkSpec)) *v1alpha1.UnderlayNetwork {
	t.Helper()
	n := &v1alpha1.UnderlayNetwork{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Spec.InterfaceSelector.DeviceIndexes = []int32{1}
	if change != nil {
		change(&n.Spec)
	}
	c.create(t, n)
	return n
}

func (c *cluster) pool(t *testing.T, network, node string, ranges ...v1alpha1.Range) *v1alpha1.UnderlayPool {
	t.Helper()
	p := &v1alpha1.UnderlayPool{
		ObjectMeta: metav1.ObjectMeta{Name: network + ".1.v4." + node},
		Spec: v1alpha1.UnderlayPoolSpec{
			NetworkName: network, NodeName: node, Interface: v1alpha1.PoolInterface{ID: "eni-1", MACAddress: "02:00:00:00:20:01", DeviceIndex: 1},
			IPFamily: v1alpha1.IPv4, Subnet: "172.31.32.0/24", Gateway: "172.31.32.1", Ranges: ranges,
		},
	}
	c.create(t, p)
	return p
}

// update changes an object as it is in the cluster.
func update[T client.Object](t *testing.T, c *cluster, o T, change func(T)) {
	t.Helper()
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(o), o))
	change(o)
	must(t, c.Update(t.Context(), o))
}

// report is the UnderlayNode; an empty one if there is none.
func (c *cluster) report(t *testing.T) v1alpha1.UnderlayNode {
	t.Helper()
	var u v1alpha1.UnderlayNode
	must(t, client.IgnoreNotFound(c.Get(t.Context(), client.ObjectKey{Name: c.node}, &u)))
	return u
}

// eventually waits until the check finds nothing wrong.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// freeAddress is one on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// testLog writes what the agent says to the test's log.
type testLog struct{ t *testing.T }

func newLog(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(testLog{t}, nil))
}

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil { // a finished test takes no more
		l.t.Log(string(p))
	}
	return len(p), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wrong(format string, args ...any) error { return fmt.Errorf(format, args...) }

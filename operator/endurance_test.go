// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/operator"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// wire stands between an operator and the API server.
type wire struct {
	mu     sync.Mutex
	writes []string
	cut    bool
}

// through gives the config of a user who goes by the wire.
func (w *wire) through(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if err := w.see(r); err != nil {
				return nil, err
			}
			return next.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// see keeps requests that write something of ours: leases and events are not.
func (w *wire) see(r *http.Request) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return errors.New("the wire is cut")
	}
	path := r.URL.Path
	if r.Method != http.MethodGet && !strings.Contains(path, "/leases") && !strings.Contains(path, "/events") {
		w.writes = append(w.writes, r.Method+" "+path)
	}
	return nil
}

func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = nil
}

func (w *wire) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}

func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
}

// TestNothingIsWrittenWhenNothingChanges, while cloud, agents and kubelets say the same again and again.
func TestNothingIsWrittenWhenNothingChanges(t *testing.T) {
	s := newStage(t)
	w := &wire{}
	s.config = w.through(s.config)
	network := s.network(t, "ens5", 0)
	s.network(t, "nowhere", 7)
	o := s.operate(t)
	s.expectAttachment(t, ens5Config)
	p := s.expect(t, worker1Pool, first, "")
	report := v1alpha1.NodePool{Name: worker1Pool, ObservedGeneration: p.Generation, Allocated: 2}
	s.report(t, "worker1", report)
	eventually(t, func() error {
		if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(network), network); err != nil {
			return err
		}
		if network.Status.Allocated != 2 || network.Status.Pools != 4 {
			return fmt.Errorf("status %+v", network.Status)
		}
		return nil
	})
	s.refreshes(t, 3)
	w.forget()
	for range 10 {
		s.refreshes(t, 1)
		s.report(t, "worker1", report)
		beat(t, s, "worker1")
	}
	if writes := w.written(); len(writes) > 0 {
		t.Errorf("%d requests: %v", len(writes), writes)
	}
	// Nor does an operator that begins with nothing to know.
	o.stop(t)
	o = s.operate(t)
	s.refreshes(t, 3)
	if writes := w.written(); len(writes) > 0 {
		t.Errorf("the second operator: %d requests: %v", len(writes), writes)
	}
	// One that the cloud does not answer tells so, and touches no pool.
	o.stop(t)
	s.cloud.Deny("DescribeInstances")
	s.operate(t)
	s.expectCondition(t, network, v1alpha1.ConditionReady, "Unauthorized")
	s.cloud.Allow("DescribeInstances")
	s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady")
	for _, line := range w.written() {
		if !strings.HasPrefix(line, "PATCH /apis/underlay.dev/v1alpha1/underlaynetworks/") {
			t.Errorf("the third operator wrote %s", line)
		}
	}
	// The wire does see writes.
	w.forget()
	s.prefixes(t, first, second)
	s.expect(t, worker1Pool, first+" "+second, "")
	if len(w.written()) == 0 {
		t.Error("a write went by unseen")
	}
}

// beat changes a node as its kubelet does all the time.
func beat(t *testing.T, s *stage, name string) {
	t.Helper()
	node := &corev1.Node{}
	if err := s.client.Get(t.Context(), client.ObjectKey{Name: name}, node); err != nil {
		t.Fatal(err)
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue,
		LastHeartbeatTime: metav1.NewTime(time.Now())}}
	if err := s.client.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}

// TestPermissionsMissing are told, with what to allow; what is there stays, and all goes on when they are there.
func TestPermissionsMissing(t *testing.T) {
	s := newStage(t)
	s.cloud.Deny("DescribeNetworkInterfaces")
	network := s.network(t, "ens5", 0)
	s.operate(t)
	c := s.expectCondition(t, network, v1alpha1.ConditionReady, "Unauthorized")
	contains(t, c.Message, "ec2:DescribeNetworkInterfaces")
	s.expectEvent(t, "ens5", "Unauthorized", "ec2:DescribeNetworkInterfaces")
	if got := s.pools(t); len(got) > 0 {
		t.Errorf("pools without knowing the cloud: %v", got)
	}
	s.cloud.Allow("DescribeNetworkInterfaces")
	s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady")
	before := s.expect(t, worker1Pool, first, "")
	s.cloud.Deny("DescribeInstances")
	c = s.expectCondition(t, network, v1alpha1.ConditionReady, "Unauthorized")
	contains(t, c.Message, "ec2:DescribeInstances", "pools stay as they are")
	s.clock.advance(time.Hour)
	s.cloud.Allow("DescribeInstances")
	s.expectCondition(t, network, v1alpha1.ConditionReady, "PoolsReady")
	if after := s.expect(t, worker1Pool, first, ""); after.Generation != before.Generation {
		t.Errorf("the pool has changed:\n%s", s.describe(t))
	}
}

// TestCredentialsRefused are told with where an operator has its own from.
func TestCredentialsRefused(t *testing.T) {
	s := newStage(t)
	network := s.network(t, "ens5", 0)
	for credentials, reason := range map[ec2sim.Credentials]string{ec2sim.Unknown: "InvalidCredentials", ec2sim.Expired: "ExpiredCredentials"} {
		s.cloud.SetCredentials(credentials)
		o := s.operate(t)
		c := s.expectCondition(t, network, v1alpha1.ConditionReady, reason)
		contains(t, c.Message, "IRSA", "Secret underlay-aws")
		o.stop(t)
	}
}

// TestFailuresPause: a cloud that fails is asked less and less often.
func TestFailuresPause(t *testing.T) {
	s := newStage(t)
	s.cloud.Deny("DescribeNetworkInterfaces")
	network := s.network(t, "ens5", 0)
	s.operate(t, func(o *operator.Options) { o.Retry, o.Refresh = time.Minute, time.Hour })
	s.expectCondition(t, network, v1alpha1.ConditionReady, "Unauthorized")
	calls := len(s.cloud.Calls())
	for i := range 5 {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("new-%d", i)}}
		if err := s.client.Create(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	other := s.network(t, "other", 0) // told without asking again
	s.expectCondition(t, other, v1alpha1.ConditionReady, "Unauthorized")
	if again := len(s.cloud.Calls()); again != calls {
		t.Errorf("asked %d times more", again-calls)
	}
}

// TestAPIServerRestarts: what happened meanwhile is caught up with.
func TestAPIServerRestarts(t *testing.T) {
	options := planeOptions(controlplane.MultusCRD())
	options.APIServerArgs = append(options.APIServerArgs, "--request-timeout=5s") // how long it waits for watches to end
	cluster := controlplane.ForTest(t, options)
	s := stageOn(t, cluster)
	s.network(t, "ens5", 0)
	s.operate(t, func(o *operator.Options) { o.Lease = time.Minute })
	s.expect(t, worker1Pool, first, "")
	if err := cluster.RestartAPIServer(func() { s.prefixes(t, first, second) }); err != nil {
		t.Fatal(err)
	}
	s.expect(t, worker1Pool, first+" "+second, "")
}

// TestLeaderChange: of two operators one works; the other takes over when that one stops, or is not heard of.
func TestLeaderChange(t *testing.T) {
	for _, how := range []string{"stopped", "cut off"} {
		t.Run(how, func(t *testing.T) {
			s := newStage(t)
			user := s.config
			w := &wire{}
			s.config = w.through(user)
			s.network(t, "ens5", 0)
			leader := s.operate(t)
			s.expect(t, worker1Pool, first, "")
			holder := s.leader(t)
			s.config = user
			s.operate(t)
			if how == "stopped" {
				leader.stop(t)
			} else {
				w.sever()
				leader.cancel = nil
				if err := <-leader.ended; err == nil || !strings.Contains(err.Error(), "leader election lost") {
					t.Errorf("the leader ended with %v, want the loss of its lease", err)
				}
			}
			s.prefixes(t, first, second)
			s.expect(t, worker1Pool, first+" "+second, "")
			if s.leader(t) == holder {
				t.Errorf("%s is leader still", holder)
			}
		})
	}
}

// leader is who holds the lease.
func (s *stage) leader(t *testing.T) string {
	t.Helper()
	lease := &coordinationv1.Lease{}
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: "underlay-system", Name: "underlay-operator"}, lease); err != nil {
		t.Fatal(err)
	}
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// startWorld gives a world that has lists of all kinds.
func startWorld(t *testing.T, c *cluster) *world {
	t.Helper()
	w := startListing(t, c)
	eventually(t, func() error {
		_, _, known, err := w.read(t.Context())
		if !known || err != nil {
			return wrong("known: %v, error: %v", known, err)
		}
		return nil
	})
	return w
}

// startListing gives a world that has begun to list.
func startListing(t *testing.T, c *cluster) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	scheme, err := newScheme()
	must(t, err)
	w, err := newWorld(ctx, c.config, scheme, c.node)
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- w.cache.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	if _, _, known, err := w.read(ctx); known || err != nil {
		t.Errorf("known before anything is listed: %v, %v", known, err)
	}
	return w
}

// TestFirstSignal: a node without pools is told about at once, too, though an empty list, here the last one, has no events.
func TestFirstSignal(t *testing.T) {
	c := newCluster(t, "empty")
	c.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/underlaypools") {
				time.Sleep(2 * time.Second)
			}
			return next.RoundTrip(r)
		})
	})
	w := startListing(t, c)
	for deadline := time.After(time.Minute); ; {
		select {
		case <-w.inputs:
			if _, _, known, err := w.read(t.Context()); known && err == nil {
				return
			}
		case <-deadline:
			t.Fatal("all is listed, and nobody was told")
		}
	}
}

func TestWorld(t *testing.T) {
	c := newCluster(t, "world")
	c.network(t, "world-a", nil)
	c.pool(t, "world-a", "world", "172.31.32.176/28")
	c.pool(t, "world-a", "elsewhere", "172.31.32.192/28")
	w := startWorld(t, c)
	in, problems, _, err := w.read(t.Context())
	must(t, err)
	if len(problems) > 0 {
		t.Error(problems)
	}
	if len(in.Pools) != 1 || in.Pools[0].Name != "world-a.1.v4.world" {
		t.Errorf("pools %v, want the node's own alone", in.Pools)
	}
	if in.Node.Name != "world" || in.Node.UID == "" || in.Node.ProviderID != "aws:///zone/i-world" || len(in.Node.Addresses) != 1 {
		t.Errorf("node %+v", in.Node)
	}
	if len(in.ServiceCIDRs) != 1 {
		t.Errorf("service CIDRs %v, want that of the API server", in.ServiceCIDRs)
	}
	var node corev1.Node
	must(t, w.cache.Get(t.Context(), client.ObjectKey{Name: "world"}, &node))
	if len(node.Status.Images)+len(node.Labels) > 0 {
		t.Errorf("the cache keeps what nobody reads: %+v", node)
	}
}

// TestWorldWithoutServiceCIDRs is an API server older than Kubernetes 1.33: it answers as it does for each path that it does not know.
func TestWorldWithoutServiceCIDRs(t *testing.T) {
	c := newCluster(t, "older")
	c.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/servicecidrs") {
				r.URL.Path = "/apis/networking.k8s.io/v1beta9/servicecidrs"
			}
			return next.RoundTrip(r)
		})
	})
	c.network(t, "older-a", nil)
	c.pool(t, "older-a", "older", "172.31.32.176/28")
	w := startWorld(t, c)
	in, problems, _, err := w.read(t.Context())
	must(t, err)
	if len(in.Pools) != 1 || len(in.ServiceCIDRs) != 0 {
		t.Errorf("pools %v, service CIDRs %v", in.Pools, in.ServiceCIDRs)
	}
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "spec.hostAccess.cidrs") {
		t.Errorf("problems %v", problems)
	}
}

// TestWorldWithForbiddenServiceCIDRs: the operator's word is taken for them; without it the node file in place stays, and what is missing is told.
func TestWorldWithForbiddenServiceCIDRs(t *testing.T) {
	c := newCluster(t, "forbidden")
	var allowed atomic.Bool
	c.config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/servicecidrs") || allowed.Load() {
				return next.RoundTrip(r)
			}
			body, err := json.Marshal(apierrors.NewForbidden(schema.GroupResource{Resource: "servicecidrs"}, "", errors.New("no")).Status())
			return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, err
		})
	})
	w := startListing(t, c)
	expect := func(known bool, cidrs int, says string) {
		t.Helper()
		eventually(t, func() error {
			in, problems, got, err := w.read(t.Context())
			if err != nil || got != known || len(in.ServiceCIDRs) != cidrs || (len(problems) > 0) != (says != "") {
				return wrong("known %v, CIDRs %v, problems %v, error %v", got, in.ServiceCIDRs, problems, err)
			}
			if says != "" && !strings.Contains(problems[0].Message, says) {
				return wrong("problems %v", problems)
			}
			return nil
		})
	}
	expect(true, 0, "") // nobody here needs them
	network := c.network(t, "forbidden-a", nil)
	c.pool(t, "forbidden-a", "forbidden", "172.31.32.176/28")
	expect(false, 0, "no operator has")
	network.Status.ServiceCIDRs = []string{"10.96.0.0/16"}
	must(t, c.Status().Update(t.Context(), network))
	expect(true, 1, "by what the operator last saw")
	allowed.Store(true)
	expect(true, 1, "")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestReporter writes the report, as seldom as it may.
func TestReporter(t *testing.T) {
	c := newCluster(t, "reporter")
	w := startWorld(t, c)
	scheme, err := newScheme()
	must(t, err)
	api, err := client.New(c.config, client.Options{Scheme: scheme, Mapper: newMapper(), Cache: &client.CacheOptions{Reader: w.cache}})
	must(t, err)
	const every = time.Second
	r := &reporter{node: "reporter", client: api, log: newLog(t), every: every, wanted: make(chan v1alpha1.UnderlayNodeStatus, 1), changed: w.report}
	go r.run(t.Context())

	status := func(allocated int64, ready metav1.ConditionStatus) v1alpha1.UnderlayNodeStatus {
		return v1alpha1.UnderlayNodeStatus{
			KernelVersion: "6.1", Pools: []v1alpha1.NodePool{{Name: "p", ObservedGeneration: 1, Allocated: allocated}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: "Test", Message: "m"}},
		}
	}
	reported := func(allocated int64) func() error {
		return func() error {
			if u := c.report(t); len(u.Status.Pools) != 1 || u.Status.Pools[0].Allocated != allocated {
				return wrong("status %+v, want %d allocated", u.Status, allocated)
			}
			return nil
		}
	}
	r.want(status(1, metav1.ConditionTrue))
	eventually(t, reported(1))
	first := c.report(t)
	var node corev1.Node
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "reporter"}, &node))
	if diff := cmp.Diff([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "reporter", UID: node.UID}}, first.OwnerReferences); diff != "" {
		t.Errorf("owner (-want +got):\n%s", diff)
	}

	t.Run("the same again", func(t *testing.T) {
		r.want(status(1, metav1.ConditionTrue))
		time.Sleep(2 * every)
		if again := c.report(t); again.ResourceVersion != first.ResourceVersion {
			t.Error("it was written though nothing changed")
		}
	})
	t.Run("many changes are one write", func(t *testing.T) {
		begin := time.Now()
		versions := map[string]bool{}
		for i := range int64(30) {
			r.want(status(100+i, metav1.ConditionTrue))
			u := c.report(t)
			versions[u.ResourceVersion] = true
			time.Sleep(50 * time.Millisecond)
		}
		eventually(t, reported(129))
		if most := int(time.Since(begin)/every) + 2; len(versions) > most {
			t.Errorf("%d writes in %s, want %d at most", len(versions), time.Since(begin), most)
		}
		u := c.report(t)
		if !u.Status.Conditions[0].LastTransitionTime.Equal(&first.Status.Conditions[0].LastTransitionTime) {
			t.Error("a condition that stayed has another time")
		}
	})
	t.Run("somebody deletes it", func(t *testing.T) {
		must(t, c.Delete(t.Context(), &v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{Name: "reporter"}}))
		eventually(t, reported(129))
	})
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni"
)

// held is how many pods hold all of the worker's IPv4 addresses in powerCut.
const held = 4

// powerCut cuts the power of a node while its pods hold all of its IPv4 addresses, and boots it: once with /run empty, and once while pods come and go, with
// what the CNI had in /run before. All addresses are free then, whatever the runtime still wants to delete, and each pod gets one.
func (s *suite) powerCut(t *testing.T) {
	const node = "worker1"
	exclude := func(ranges string) {
		s.kubectl(t, "patch", "underlaynetwork", "ens5", "--type=merge", "-p", `{"spec":{"exclude":[`+ranges+`]}}`)
	}
	exclude(`"172.31.32.180/30","172.31.32.184/29"`) // more than four pods at once start too slowly here
	s.capacity(t, node, held)
	s.kubectl(t, "apply", "-f", "testdata/full.yaml")
	s.full(t, node, time.Time{})
	for _, c := range []struct {
		name   string
		before func(t *testing.T)
	}{
		{"with /run empty", func(*testing.T) {}},
		{"while pods come and go, with the store of the boot before", func(t *testing.T) {
			s.onNode(t, node, "mkdir -p /disk/run && cp -a "+cni.Folder+" /disk/run/ && sync")
			s.kubectl(t, "delete", "pods", "-l", "app=full", "--wait=false")
			time.Sleep(3 * time.Second)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			was := s.bootID(t, node)
			c.before(t)
			cut := time.Now()
			must(t, s.Node(node).Restart(t.Context()))
			eventually(t, patience, func() error {
				if is := s.bootID(t, node); is == was {
					return fmt.Errorf("node %s still has the boot id %s", node, is)
				}
				return nil
			})
			s.full(t, node, cut)
			eventually(t, patience, func() error { // the runtime forgets a sandbox once its DEL has succeeded
				results := s.onNode(t, node, "ls /var/lib/cni/results")
				if known := strings.Count(results, "-eth0\n"); known != held {
					return fmt.Errorf("the runtime knows %d sandboxes, want %d:\n%s", known, held, results)
				}
				return nil
			})
			s.podToPod(t)
			s.podToOwnHost(t)
			s.hostToPod(t)
			if aside := s.onNode(t, node, "ls "+cni.Folder); strings.Contains(aside, ".bad-") {
				t.Errorf("the store of the boot before was kept: %s", aside)
			}
			t.Logf("%s after the power was cut all is well", time.Since(cut).Round(time.Second))
		})
	}
	s.kubectl(t, "delete", "--wait", "-f", "testdata/full.yaml")
	s.allocated(t, 1)
	exclude("")
	s.capacity(t, node, 16)
}

// capacity waits until the node's IPv4 pool has this many addresses, and its agent hands them out.
func (s *suite) capacity(t *testing.T, node string, want int64) {
	t.Helper()
	eventually(t, patience, func() error {
		var pool v1alpha1.UnderlayPool
		if err := s.api.Get(t.Context(), client.ObjectKey{Name: "ens5.0.v4." + node}, &pool); err != nil {
			return err
		}
		if pool.Status.Capacity != want {
			return fmt.Errorf("pool %s has %d addresses, want %d", pool.Name, pool.Status.Capacity, want)
		}
		return nil
	})
	s.observed(t, node)
}

func (s *suite) bootID(t *testing.T, name string) string {
	t.Helper()
	var node corev1.Node
	must(t, s.api.Get(t.Context(), client.ObjectKey{Name: name}, &node))
	return node.Status.NodeInfo.BootID
}

// full waits until the node's pods, all of which were started after a time, hold all addresses of its prefix, each of them one.
func (s *suite) full(t *testing.T, node string, since time.Time) {
	t.Helper()
	const most = 3 * patience // all start at the same time
	var running []corev1.Pod
	eventually(t, most, func() error {
		var list corev1.PodList
		if err := s.api.List(t.Context(), &list, client.InNamespace("default"), client.MatchingFields{"spec.nodeName": node}); err != nil {
			return err
		}
		running = nil
		for _, pod := range list.Items {
			if ready(&pod) && !pod.Status.ContainerStatuses[0].State.Running.StartedAt.Time.Before(since.Truncate(time.Second)) {
				running = append(running, pod)
			}
		}
		if len(running) != held || len(list.Items) != held {
			return fmt.Errorf("of %d pods on %s %d are ready since %s, want %d", len(list.Items), node, len(running), since, held)
		}
		return nil
	})
	var taken []netip.Addr
	for _, pod := range running {
		v4, v6 := addresses(t, &pod)
		if !prefix(t, "172.31.32.176/30").Contains(v4) || slices.Contains(taken, v4) || slices.Contains(taken, v6) {
			t.Errorf("pod %s has %s and %s, which are not the node's or another pod's", pod.Name, v4, v6)
		}
		taken = append(taken, v4, v6)
	}
	eventually(t, patience, func() error {
		var pool v1alpha1.UnderlayPool
		if err := s.api.Get(t.Context(), client.ObjectKey{Name: "ens5.0.v4." + node}, &pool); err != nil {
			return err
		}
		if pool.Status.Allocated != held {
			return fmt.Errorf("pool %s has %d addresses allocated, want %d", pool.Name, pool.Status.Allocated, held)
		}
		return nil
	})
}

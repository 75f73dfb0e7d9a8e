// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster"
)

const (
	podsPerNode  = 30
	podPairs     = 2 // of rounds: ours, peer, peer, ours
	podPatience  = 10 * time.Minute
	podNamespace = metav1.NamespaceDefault
)

// podSide is one of the two CNIs that are compared.
type podSide struct {
	name string // of its RuntimeClass
	// addresses that its pods have, by node: whoever has another was started by the other CNI.
	addresses map[string]netip.Prefix
}

// measurePods starts pods on the two-node cluster of tests/cluster, those of one round at the same time: by our CNI, as init has installed it, and by
// the upstream plugins, which the same nodes have for another RuntimeClass.
func measurePods(ctx context.Context, progress io.Writer) (_ []row, err error) {
	s, err := setUpPods(ctx, progress)
	if s != nil {
		defer func() {
			if err != nil && s.cluster != nil {
				err = s.keepLogs(ctx, err)
			}
			err = errors.Join(err, s.close())
		}()
	}
	if err != nil {
		return nil, err
	}
	for _, side := range s.sides { // what only the first pod of a node waits for: modules, page caches
		if _, err := s.round(ctx, side, 1); err != nil {
			return nil, err
		}
	}
	var took [2][]float64
	for pair := range podPairs {
		for i := range s.sides {
			which := (pair + i) % len(s.sides) // who begins alternates
			seconds, err := s.round(ctx, s.sides[which], podsPerNode)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(progress, "  round %d of %d: %d pods of %s ready after %.1f s at the median, the last after %.1f s\n", 2*pair+i+1, 2*podPairs,
				len(seconds), s.sides[which].name, median(seconds), slices.Max(seconds))
			took[which] = append(took[which], seconds...)
		}
	}
	const peer = "ipvlan and host-local v1.9.1"
	return []row{
		newComparison("pod-start-60-p50", "s", peer, took[0], took[1]),
		newPercentiles("pod-start-60-p99", "s", peer, 99, took[0], took[1]),
	}, nil
}

// round starts pods on each node, and says of each how long it took from its creation until it was ready. It ends when the
// pods are gone again.
func (s *podStage) round(ctx context.Context, side podSide, perNode int) (seconds []float64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, podPatience, fmt.Errorf("gave up after %s", podPatience))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	events, err := s.watch(ctx)
	if err != nil {
		return nil, err
	}
	defer events.Stop()
	var pods []*corev1.Pod
	for i := range perNode {
		for _, node := range s.cluster.Nodes() {
			pods = append(pods, newPod(fmt.Sprintf("%s-%s-%d", side.name, node.Name, i), side.name, node.Name))
		}
	}
	var created []time.Time
	var creating sync.WaitGroup
	creating.Go(func() {
		var failed error
		if created, failed = s.create(ctx, pods); failed != nil {
			fail(failed)
		}
	})
	ready, err := awaitReady(ctx, events, side, len(pods)) // at the same time: an API server gives up watchers that do not read
	creating.Wait()
	if err != nil {
		return nil, fmt.Errorf("%d of %d pods of %s are ready: %w", len(ready), len(pods), side.name, err)
	}
	for i, pod := range pods {
		seconds = append(seconds, ready[pod.Name].Sub(created[i]).Seconds())
	}
	return seconds, s.remove(ctx, events, pods)
}

// watch tells of pods from now on, and goes on where it was when the API server ends it: a busy one does.
func (s *podStage) watch(ctx context.Context) (watch.Interface, error) {
	var now corev1.PodList
	if err := s.client.List(ctx, &now, client.InNamespace(podNamespace)); err != nil {
		return nil, err
	}
	return watchtools.NewRetryWatcherWithContext(ctx, now.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return s.client.Watch(ctx, &corev1.PodList{}, &client.ListOptions{Namespace: podNamespace, Raw: &options})
		},
	})
}

// newPod holds a pause in it: what it runs costs next to nothing.
func newPod(name, class, node string) *corev1.Pod {
	grace, token := int64(30), false // pause ends at once
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: podNamespace, Name: name},
		Spec: corev1.PodSpec{
			RuntimeClassName:              &class,
			NodeSelector:                  map[string]string{corev1.LabelHostname: node},
			TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken:  &token,
			Containers:                    []corev1.Container{{Name: "app", Image: cluster.PauseImage, ImagePullPolicy: corev1.PullNever}},
		},
	}
}

// create creates all pods at the same time, and says when it began to with each.
func (s *podStage) create(ctx context.Context, pods []*corev1.Pod) ([]time.Time, error) {
	begun, errs := make([]time.Time, len(pods)), make([]error, len(pods))
	var all sync.WaitGroup
	for i, pod := range pods {
		all.Go(func() {
			begun[i] = time.Now()
			errs[i] = s.client.Create(ctx, pod)
		})
	}
	all.Wait()
	return begun, errors.Join(errs...)
}

// awaitReady says when each pod was first seen ready.
func awaitReady(ctx context.Context, events watch.Interface, side podSide, want int) (map[string]time.Time, error) {
	ready := map[string]time.Time{}
	for len(ready) < want {
		pod, _, err := nextPod(ctx, events)
		if err != nil {
			return ready, err
		}
		now := time.Now()
		if _, seen := ready[pod.Name]; seen || !podReady(pod) {
			continue
		}
		if err := side.owns(pod); err != nil {
			return ready, err
		}
		ready[pod.Name] = now
	}
	return ready, nil
}

// remove deletes the pods, and waits until none is left.
func (s *podStage) remove(ctx context.Context, events watch.Interface, pods []*corev1.Pod) error {
	if err := s.client.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(podNamespace)); err != nil {
		return err
	}
	for left := len(pods); left > 0; {
		_, kind, err := nextPod(ctx, events)
		if err != nil {
			return fmt.Errorf("%d of %d pods are not gone: %w", left, len(pods), err)
		}
		if kind == watch.Deleted {
			left--
		}
	}
	return nil
}

// nextPod waits for the next event.
func nextPod(ctx context.Context, events watch.Interface) (*corev1.Pod, watch.EventType, error) {
	select {
	case <-ctx.Done():
		return nil, "", context.Cause(ctx)
	case e, open := <-events.ResultChan():
		pod, ok := e.Object.(*corev1.Pod)
		if !open || !ok {
			return nil, "", fmt.Errorf("the watch of pods ended: %v", e.Object)
		}
		return pod, e.Type, nil
	}
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// owns complains about a pod that has an address of somebody else.
func (side podSide) owns(pod *corev1.Pod) error {
	address, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil {
		return fmt.Errorf("pod %s is ready without an address: %w", pod.Name, err)
	}
	own := side.addresses[pod.Spec.NodeName]
	if !own.Contains(address) {
		return fmt.Errorf("pod %s has the address %s, which is none of %s on %s", pod.Name, address, own, pod.Spec.NodeName)
	}
	return nil
}

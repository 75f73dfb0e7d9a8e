// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
)

// queue is where passes are asked for.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// pass asks for a pass after a while; asking again does not put it off.
func (o *operator) pass(after time.Duration) {
	if q := o.queue.Load(); q != nil {
		(*q).AddAfter(reconcile.Request{}, after)
	}
}

// soon asks for a pass because of what somebody wants; later, because of what agents count.
func (o *operator) soon()  { o.pass(o.options.Debounce) }
func (o *operator) later() { o.pass(10 * o.options.Debounce) }

// sources are what passes are triggered by, besides the cloud and optional kinds.
func (o *operator) sources(c cache.Cache) []source.Source {
	return []source.Source{
		source.Func(func(_ context.Context, q queue) error {
			o.queue.Store(&q)
			o.soon()
			return nil
		}),
		watch(c, &corev1.Node{}, func(before, after *corev1.Node) {
			if before == nil || after == nil || !reflect.DeepEqual(kube.Node(before), kube.Node(after)) {
				o.intent.Add(1)
				o.cloud.nodeChanged()
				o.soon()
			}
		}),
		watch(c, &v1alpha1.UnderlayNetwork{}, func(before, after *v1alpha1.UnderlayNetwork) {
			if before == nil || after == nil || before.Generation != after.Generation || len(before.Finalizers) != len(after.Finalizers) {
				o.intent.Add(1)
				o.soon()
			}
		}),
		watch(c, &v1alpha1.UnderlayPool{}, func(_, _ *v1alpha1.UnderlayPool) { o.later() }),
		watch(c, &v1alpha1.UnderlayNode{}, func(before, after *v1alpha1.UnderlayNode) {
			if before == nil || after == nil || !slices.Equal(before.Status.Links, after.Status.Links) {
				o.intent.Add(1)
			}
			o.later()
		}),
	}
}

// watch tells of objects of a kind as they were and are; nil for absent.
func watch[T client.Object](c cache.Cache, object T, changed func(before, after T)) source.Source {
	var none T
	return source.Kind(c, object, handler.TypedFuncs[T, reconcile.Request]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[T], _ queue) { changed(none, e.Object) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], _ queue) { changed(e.ObjectOld, e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[T], _ queue) { changed(e.Object, none) },
	})
}

// slimNode keeps of a node what the operator reads: a node carries some ten kilobytes of images alone.
func slimNode(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	slim := &corev1.Node{TypeMeta: n.TypeMeta, Spec: corev1.NodeSpec{ProviderID: n.Spec.ProviderID}}
	slim.Name, slim.UID, slim.ResourceVersion, slim.Generation = n.Name, n.UID, n.ResourceVersion, n.Generation
	slim.CreationTimestamp, slim.DeletionTimestamp, slim.Labels = n.CreationTimestamp, n.DeletionTimestamp, maps.Clone(n.Labels)
	slim.Status.Addresses = n.Status.Addresses
	slim.Status.NodeInfo.KernelVersion = n.Status.NodeInfo.KernelVersion
	return slim, nil
}

// syncTimeout is how long a pass waits for the list of an optional kind; without permission it never comes.
const syncTimeout = 10 * time.Second

// optionalKind is a kind that a cluster may not serve, or not yet.
type optionalKind struct {
	mapper  meta.RESTMapper
	cache   cache.Cache
	kind    schema.GroupVersionKind
	object  client.Object
	changed func()

	present  atomic.Bool
	informer cache.Informer
}

// look finds out whether the kind is served, and watches it from then on.
func (k *optionalKind) look(ctx context.Context) error {
	_, err := k.mapper.RESTMapping(k.kind.GroupKind(), k.kind.Version)
	if meta.IsNoMatchError(err) {
		k.present.Store(false)
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask whether %s is served: %w", k.kind.Kind, err)
	}
	if k.informer == nil {
		informer, err := k.cache.GetInformer(ctx, k.object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %s: %w", k.kind.Kind, err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { k.changed() },
			UpdateFunc: func(any, any) { k.changed() },
			DeleteFunc: func(any) { k.changed() },
		})
		if err != nil {
			return fmt.Errorf("watch %s: %w", k.kind.Kind, err)
		}
		k.informer = informer
	}
	// Else a pass would take what has not come yet for absent, and write so.
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	toolscache.WaitForCacheSync(ctx.Done(), k.informer.HasSynced)
	k.present.Store(true)
	return nil
}

// served says whether the cache can be asked for the kind.
func (k *optionalKind) served() bool {
	return k.present.Load() && k.informer.HasSynced()
}

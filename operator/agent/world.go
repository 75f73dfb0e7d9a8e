// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// world is what the API server says of the node: few objects, kept without what nobody reads.
type world struct {
	node  string
	cache cache.Cache
	// needed are the informers of all that a node file depends on, service CIDRs aside.
	needed   []cache.Informer
	services cache.Informer
	// noServices: the API server does not know service CIDRs, or does not tell the agent, as forbidden says.
	noServices, forbidden atomic.Bool
	// inputs and report have a signal when something of the inputs, or of the node's report, changed.
	inputs, report chan struct{}
}

// newScheme knows the kinds that the agent uses, and no others: the usual one, with all of Kubernetes, costs megabytes.
func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	s.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.Node{}, &corev1.NodeList{})
	metav1.AddToGroupVersion(s, corev1.SchemeGroupVersion)
	s.AddKnownTypes(networkingv1.SchemeGroupVersion, &networkingv1.ServiceCIDR{}, &networkingv1.ServiceCIDRList{})
	metav1.AddToGroupVersion(s, networkingv1.SchemeGroupVersion)
	return s, v1alpha1.AddToScheme(s)
}

// newMapper knows where they are served, without asking the API server, which may be away.
func newMapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"UnderlayNetwork", "UnderlayPool", "UnderlayNode"} {
		m.Add(v1alpha1.GroupVersion().WithKind(kind), meta.RESTScopeRoot)
	}
	m.Add(corev1.SchemeGroupVersion.WithKind("Node"), meta.RESTScopeRoot)
	m.Add(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), meta.RESTScopeRoot)
	return m
}

// newWorld lists and watches from start on.
func newWorld(ctx context.Context, config *rest.Config, scheme *runtime.Scheme, node string) (*world, error) {
	w := &world{node: node, inputs: make(chan struct{}, 1), report: make(chan struct{}, 1)}
	named := fields.OneTermEqualSelector(metav1.ObjectNameField, node)
	var err error
	w.cache, err = cache.New(config, cache.Options{
		Scheme: scheme, Mapper: newMapper(),
		DefaultTransform:         cache.TransformStripManagedFields(),
		DefaultWatchErrorHandler: w.watchFailed,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Node{}:              {Field: named, Transform: stripNode},
			&v1alpha1.UnderlayNode{}:    {Field: named},
			&v1alpha1.UnderlayPool{}:    {Field: fields.OneTermEqualSelector("spec.nodeName", node)},
			&v1alpha1.UnderlayNetwork{}: {},
			&networkingv1.ServiceCIDR{}: {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	for _, object := range []client.Object{&corev1.Node{}, &v1alpha1.UnderlayNetwork{}, &v1alpha1.UnderlayPool{}} {
		informer, err := w.watch(ctx, object, w.inputs)
		if err != nil {
			return nil, err
		}
		w.needed = append(w.needed, informer)
	}
	if w.services, err = w.watch(ctx, &networkingv1.ServiceCIDR{}, w.inputs); err != nil {
		return nil, err
	}
	if _, err = w.watch(ctx, &v1alpha1.UnderlayNode{}, w.report); err != nil {
		return nil, err
	}
	go w.awaitLists(ctx)
	return w, nil
}

// awaitLists signals when all is listed: of an empty list there is no event.
func (w *world) awaitLists(ctx context.Context) {
	const often = 250 * time.Millisecond
	err := wait.PollUntilContextCancel(ctx, often, true, func(context.Context) (bool, error) { return w.listed(), nil })
	if err == nil {
		signal(w.inputs)
	}
}

// listed says whether all that a node file depends on is known as a whole.
func (w *world) listed() bool {
	lacking := slices.ContainsFunc(w.needed, func(i cache.Informer) bool { return !i.HasSynced() })
	return !lacking && (w.services.HasSynced() || w.noServices.Load())
}

// watch signals changes of a kind.
func (w *world) watch(ctx context.Context, object client.Object, changes chan<- struct{}) (cache.Informer, error) {
	informer, err := w.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", object, err)
	}
	changed := func() { signal(changes) }
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		UpdateFunc: func(any, any) { changed() },
		DeleteFunc: func(any) { changed() },
	})
	return informer, err
}

// signal leaves a signal, unless there is one already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// stripNode keeps of a Node what the node file needs: its images alone can be tens of kilobytes.
func stripNode(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion},
		Spec:       corev1.NodeSpec{ProviderID: n.Spec.ProviderID},
		Status:     corev1.NodeStatus{Addresses: n.Status.Addresses},
	}, nil
}

// watchFailed notices that service CIDRs are not served, as before Kubernetes 1.33, or may not be listed; all is retried by itself.
func (w *world) watchFailed(ctx context.Context, r *toolscache.Reflector, err error) {
	missing, forbidden := apierrors.IsNotFound(err), apierrors.IsForbidden(err)
	if (missing || forbidden) && r.TypeDescription() == fmt.Sprintf("%T", &networkingv1.ServiceCIDR{}) {
		if w.forbidden.Store(forbidden); !w.noServices.Swap(true) {
			signal(w.inputs)
		}
		if missing {
			return
		}
	}
	toolscache.DefaultWatchErrorHandler(ctx, r, err)
}

// read gives what the API server says of the node; false while that is not known as a whole.
func (w *world) read(ctx context.Context) (in Inputs, problems []Problem, known bool, err error) {
	if !w.listed() {
		return in, nil, false, nil
	}
	var node corev1.Node
	if err := w.cache.Get(ctx, client.ObjectKey{Name: w.node}, &node); err != nil {
		return in, nil, false, client.IgnoreNotFound(err) // not registered yet, or removed: nothing to follow
	}
	var networks v1alpha1.UnderlayNetworkList
	var pools v1alpha1.UnderlayPoolList
	if err := errors.Join(w.cache.List(ctx, &networks), w.cache.List(ctx, &pools)); err != nil {
		return in, nil, false, err
	}
	in = Inputs{
		Node:     nodefile.Node{Name: node.Name, UID: string(node.UID), ProviderID: node.Spec.ProviderID, Addresses: internalIPs(&node)},
		Networks: networks.Items,
		Pools:    pools.Items,
	}
	if !w.services.HasSynced() {
		problems, known = w.withoutServices(&in)
		return in, problems, known, nil
	}
	var services networkingv1.ServiceCIDRList
	if err := w.cache.List(ctx, &services); err != nil {
		return in, nil, false, err
	}
	in.ServiceCIDRs = serviceCIDRs(services.Items)
	return in, problems, true, nil
}

// withoutServices takes the operator's word for the cluster's service CIDRs, which networks' statuses have, and tells what is amiss. It is not known
// enough where there are such objects and nobody has read them: a node file without them would cost pods that start now their services.
func (w *world) withoutServices(in *Inputs) (problems []Problem, known bool) {
	needed := false
	for i := range in.Networks {
		n := &in.Networks[i]
		in.ServiceCIDRs = append(in.ServiceCIDRs, prefixes(n.Status.ServiceCIDRs)...)
		needed = needed || *n.Effective().HostAccess.Enabled && slices.ContainsFunc(in.Pools, func(p v1alpha1.UnderlayPool) bool { return p.Spec.NetworkName == n.Name })
	}
	tell := func(message string) []Problem { return []Problem{{Object: "node/" + w.node, Message: message}} }
	const grant = "let the service account of the agents list and watch servicecidrs of networking.k8s.io, as `kubectl underlay init` does"
	switch told := len(in.ServiceCIDRs) > 0; {
	case !needed, told && !w.forbidden.Load():
		return nil, true
	case told:
		return tell("the agent may not list ServiceCIDR objects, and goes by what the operator last saw of them: " + grant), true
	case w.forbidden.Load():
		return tell("the agent may not list ServiceCIDR objects, and no operator has: changes of networks and pools are not followed until one of them may; " + grant), false
	}
	return tell("the API server knows no ServiceCIDR objects, which are in Kubernetes 1.33 and newer: " +
		"list the cluster's service CIDRs in spec.hostAccess.cidrs of each UnderlayNetwork, or its pods reach no service"), true
}

func internalIPs(node *corev1.Node) []netip.Addr {
	var list []netip.Addr
	for _, a := range node.Status.Addresses {
		if ip, err := netip.ParseAddr(a.Address); err == nil && a.Type == corev1.NodeInternalIP {
			list = append(list, ip)
		}
	}
	return list
}

// serviceCIDRs are those of all objects, those that go among them: their services are still there.
func serviceCIDRs(objects []networkingv1.ServiceCIDR) []netip.Prefix {
	var list []netip.Prefix
	for _, o := range objects {
		list = append(list, prefixes(o.Spec.CIDRs)...)
	}
	return list
}

func prefixes(texts []string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			list = append(list, p.Masked())
		}
	}
	return list
}

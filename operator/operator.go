// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// name of the operator in leases, events and metrics.
const name = "underlay-operator"

// operator makes one pass after another. What it remembers between them, a restart may forget.
type operator struct {
	// client reads from the cache, direct from the API server, and attachments from a cache that has ours alone.
	client      client.Client
	direct      client.Reader
	attachments client.Reader
	events      events.EventRecorder
	cloud       *observer
	// multus and services are kinds that a cluster may not serve.
	multus, services *optionalKind
	options          Options

	// queue of the controller: one request, which means a pass.
	queue atomic.Pointer[queue]
	// intent counts changes of what the plan depends on, but for the cloud.
	intent atomic.Uint64

	// counted is when each network's status was last written.
	counted sync.Map

	// Only the one pass that runs uses these.
	last   *thought
	memory memory
}

// Run operates a cluster until the context ends. Of several, one is the leader and does it; Run returns when it has lost
// the lease.
func Run(ctx context.Context, config *rest.Config, provider cloud.Provider, options Options) error {
	options = options.withDefaults()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("kubernetes types: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server limits fairly by itself
	mgr, err := manager.New(config, managerOptions(scheme, options))
	if err != nil {
		return fmt.Errorf("connect to the API server: %w", err)
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return fmt.Errorf("health: %w", err)
		}
	}
	if err := add(mgr, provider, options); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func managerOptions(scheme *runtime.Scheme, options Options) manager.Options {
	renew, retry := options.Lease*2/3, options.Lease/8
	return manager.Options{
		Scheme: scheme,
		Logger: options.Log,
		Cache: cache.Options{
			DefaultTransform:             cache.TransformStripManagedFields(),
			DefaultUnsafeDisableDeepCopy: new(true),
			ByObject:                     map[client.Object]cache.ByObject{&corev1.Node{}: {Transform: slimNode}},
		},
		Metrics:                       server.Options{BindAddress: options.MetricsAddress},
		HealthProbeBindAddress:        options.HealthAddress,
		LeaderElection:                true,
		LeaderElectionID:              name,
		LeaderElectionNamespace:       options.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &options.Lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
	}
}

// add wires the operator into the manager.
func add(mgr manager.Manager, provider cloud.Provider, options Options) error {
	measured, err := newMetrics()
	if err != nil {
		return err
	}
	o := &operator{client: mgr.GetClient(), direct: mgr.GetAPIReader(), events: mgr.GetEventRecorder(name), options: options}
	o.cloud = newObserver(provider, o.nodes, func() { o.pass(0) }, options, measured)
	attachment := &unstructured.Unstructured{}
	attachment.SetGroupVersionKind(attachmentKind())
	// A cache of its own, since the manager's would have to know the kind from the start.
	attachments, err := cache.New(mgr.GetConfig(), cache.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		DefaultTransform:     cache.TransformStripManagedFields(),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{plan.LabelManagedBy: plan.ManagedBy})})
	if err != nil {
		return fmt.Errorf("cache of attachments: %w", err)
	}
	o.attachments = attachments
	o.multus = &optionalKind{mapper: mgr.GetRESTMapper(), cache: attachments, object: attachment, kind: attachmentKind(), changed: o.soon}
	o.services = &optionalKind{mapper: mgr.GetRESTMapper(), cache: mgr.GetCache(), object: &networkingv1.ServiceCIDR{},
		kind: networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), changed: o.soon}
	for _, runnable := range []manager.Runnable{attachments, o.cloud} {
		if err := mgr.Add(runnable); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
	}
	c, err := controller.New("world", mgr, controller.Options{
		Reconciler:         o,
		SkipNameValidation: new(true), // tests run several operators
		EnableWarmup:       new(true), // who waits to be leader keeps its cache filled
		RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, time.Minute),
	})
	if err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	for _, source := range o.sources(mgr.GetCache()) {
		if err := c.Watch(source); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

// Reconcile makes one pass: look, think, write what differs.
func (o *operator) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	seen := o.cloud.newest()
	w, err := o.observe(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	if o.last == nil || o.last.number != seen.number {
		for _, kind := range []*optionalKind{o.multus, o.services} {
			if err := kind.look(ctx); err != nil {
				return reconcile.Result{}, err
			}
		}
	}
	if err := o.think(ctx, w, seen); err != nil {
		return reconcile.Result{}, err
	}
	outcomes := decide(w, o.last, &o.memory, seen.begun, o.options.Settle)
	done, poolsErr := o.writePools(ctx, outcomes)
	attachments, attachmentsErr := o.writeAttachments(ctx, w, o.last)
	services, servicesErr := o.serviceCIDRs(ctx)
	networksErr := o.writeNetworks(ctx, o.networks(w, outcomes, seen, attachments, services))
	if err := errors.Join(poolsErr, attachmentsErr, servicesErr, networksErr); err != nil {
		return reconcile.Result{}, err
	}
	if !done {
		return reconcile.Result{RequeueAfter: o.options.Debounce}, nil
	}
	return reconcile.Result{}, nil
}

// networks gathers what each network's status depends on.
func (o *operator) networks(w *world, outcomes []outcome, seen observation, attachments map[string]attachmentState, services []string) []networkFacts {
	pools := map[string][]*outcome{}
	for i := range outcomes {
		p := outcomes[i].live
		if p == nil {
			p = outcomes[i].want
		}
		if p != nil {
			pools[p.Spec.NetworkName] = append(pools[p.Spec.NetworkName], &outcomes[i])
		}
	}
	out := make([]networkFacts, 0, len(w.networks))
	for network, live := range w.networks {
		out = append(out, networkFacts{live: live, pools: pools[network], findings: o.last.about(live, pools[network]),
			failure: seen.failure, observed: o.last.observed, attachment: attachments[network], serviceCIDRs: services})
	}
	return out
}

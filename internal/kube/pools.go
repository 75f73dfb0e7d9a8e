// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// PoolFilter chooses pools; empty fields choose all.
type PoolFilter struct {
	Node    string
	Network string
	Names   []string
}

// Matches says whether the filter chooses the pool.
func (f PoolFilter) Matches(pool *v1alpha1.UnderlayPool) bool {
	return (f.Node == "" || pool.Spec.NodeName == f.Node) &&
		(f.Network == "" || pool.Spec.NetworkName == f.Network) &&
		(len(f.Names) == 0 || slices.Contains(f.Names, pool.Name))
}

// options let the API server do the filtering by its selectable fields.
func (f PoolFilter) options() []client.ListOption {
	selector := fields.Set{}
	if f.Node != "" {
		selector["spec.nodeName"] = f.Node
	}
	if f.Network != "" {
		selector["spec.networkName"] = f.Network
	}
	if len(f.Names) == 1 {
		selector["metadata.name"] = f.Names[0]
	}
	return []client.ListOption{client.MatchingFieldsSelector{Selector: selector.AsSelector()}}
}

// Pools lists the chosen pools by name; a cluster that does not serve pools has none.
func (c *Cluster) Pools(ctx context.Context, filter PoolFilter) ([]v1alpha1.UnderlayPool, error) {
	list, err := c.listPools(ctx, filter)
	return list.Items, err
}

func (c *Cluster) listPools(ctx context.Context, filter PoolFilter) (v1alpha1.UnderlayPoolList, error) {
	var list v1alpha1.UnderlayPoolList
	err := c.listServed(ctx, "UnderlayPool", &list, filter.options()...)
	list.Items = slices.DeleteFunc(list.Items, func(p v1alpha1.UnderlayPool) bool { return !filter.Matches(&p) })
	return list, err
}

// WatchPools tells of changes until the context ends: all chosen pools by name, and those that changed. It lists again
// when the API server ends the watch.
func (c *Cluster) WatchPools(ctx context.Context, filter PoolFilter, tell func(all, changed []v1alpha1.UnderlayPool) error) error {
	var known map[string]v1alpha1.UnderlayPool
	for {
		list, err := c.listPools(ctx, filter)
		if err != nil {
			return err
		}
		listed := make(map[string]v1alpha1.UnderlayPool, len(list.Items))
		for _, pool := range list.Items {
			listed[pool.Name] = pool
		}
		if known != nil && !maps.EqualFunc(known, listed, sameVersion) {
			if err := tell(sorted(listed), list.Items); err != nil {
				return err
			}
		}
		known = listed
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}}
		options := append(filter.options(), from)
		events, err := c.client.Watch(ctx, &v1alpha1.UnderlayPoolList{}, options...)
		if err != nil {
			return fmt.Errorf("watch pools: %w", explain(c.host, err))
		}
		if err := follow(ctx, events, filter, known, tell); err != nil {
			return err
		}
	}
}

// follow applies events to known until the API server ends the watch.
func follow(ctx context.Context, events watch.Interface, filter PoolFilter, known map[string]v1alpha1.UnderlayPool, tell func(all, changed []v1alpha1.UnderlayPool) error) error {
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, open := <-events.ResultChan():
			pool, ok := event.Object.(*v1alpha1.UnderlayPool)
			if !open || !ok {
				return nil // ended or too old: list again
			}
			if !filter.Matches(pool) {
				continue
			}
			if event.Type == watch.Deleted {
				delete(known, pool.Name)
			} else {
				known[pool.Name] = *pool
			}
			if err := tell(sorted(known), []v1alpha1.UnderlayPool{*pool}); err != nil {
				return err
			}
		}
	}
}

func sameVersion(a, b v1alpha1.UnderlayPool) bool { return a.ResourceVersion == b.ResourceVersion }

func sorted(pools map[string]v1alpha1.UnderlayPool) []v1alpha1.UnderlayPool {
	return slices.SortedFunc(maps.Values(pools), func(a, b v1alpha1.UnderlayPool) int { return cmp.Compare(a.Name, b.Name) })
}

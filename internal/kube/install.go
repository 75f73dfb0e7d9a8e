// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/internal/check"
)

// ObserveInstall reads what status shows and waits look at: our own resources, nodes, operator and agents. It asks for
// neither other IPAMs nor versions.
func (c *Cluster) ObserveInstall(ctx context.Context) (Observation, error) {
	var seen Observation
	for _, read := range []func(context.Context, *Observation) error{c.readNodes, c.readOwn, c.readInstall} {
		if err := read(ctx, &seen); err != nil {
			return Observation{}, err
		}
	}
	return seen, nil
}

// readInstall reads operator, agents and their pods.
func (c *Cluster) readInstall(ctx context.Context, seen *Observation) error {
	var operator appsv1.Deployment
	var agents appsv1.DaemonSet
	install := &check.Install{}
	for name, object := range map[string]client.Object{check.OperatorName: &operator, check.AgentName: &agents} {
		err := c.client.Get(ctx, types.NamespacedName{Namespace: check.Namespace, Name: name}, object)
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("look for %s: %w", name, explain(c.host, err))
		}
	}
	if operator.Name != "" {
		install.Operator = &operator
	}
	if agents.Name != "" {
		install.Agents = &agents
	}
	if install.Operator == nil && install.Agents == nil {
		return nil
	}
	var pods corev1.PodList
	ours := client.MatchingLabels{check.NameLabel: check.NameValue}
	if err := c.client.List(ctx, &pods, client.InNamespace(check.Namespace), ours); err != nil {
		return fmt.Errorf("list the pods of operator and agents: %w", explain(c.host, err))
	}
	install.Pods = pods.Items
	slices.SortFunc(install.Pods, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	seen.Install = install
	return nil
}

// Leader is the operator's replica that leads; empty if none does.
func (c *Cluster) Leader(ctx context.Context) (string, error) {
	var leases coordinationv1.LeaseList
	if err := c.client.List(ctx, &leases, client.InNamespace(check.Namespace)); err != nil {
		return "", fmt.Errorf("list leases: %w", explain(c.host, err))
	}
	for _, lease := range leases.Items {
		if holder := lease.Spec.HolderIdentity; holder != nil {
			return *holder, nil
		}
	}
	return "", nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// reportEvery is the least time between two writes.
const reportEvery = 5 * time.Second

// reportTimeout bounds one write.
const reportTimeout = 30 * time.Second

// reporter keeps the UnderlayNode what it should be.
type reporter struct {
	node   string
	client client.Client // reads from the cache
	log    *slog.Logger
	// wanted has the newest status, if it has not been taken up yet.
	wanted chan v1alpha1.UnderlayNodeStatus
	// changed signals that the UnderlayNode or what the API server knows of it changed.
	changed <-chan struct{}
	every   time.Duration
}

// want replaces the status that is to be reported. It never waits. For one caller.
func (r *reporter) want(s v1alpha1.UnderlayNodeStatus) {
	select {
	case <-r.wanted:
	default:
	}
	r.wanted <- s
}

// run reports until the context ends: at most one write in each period, and none when nothing differs.
func (r *reporter) run(ctx context.Context) {
	var status *v1alpha1.UnderlayNodeStatus
	pause := time.NewTimer(0)
	defer pause.Stop()
	free, due := true, false
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-r.wanted:
			status, due = &s, true
		case <-r.changed:
			due = true
		case <-pause.C:
			free = true
		}
		if !free || !due || status == nil {
			continue
		}
		wrote, err := r.write(ctx, status)
		due = err != nil
		if err != nil && ctx.Err() == nil {
			r.log.Warn("the node's report could not be written", "error", err)
		}
		if wrote || err != nil {
			free = false
			pause.Reset(r.every)
		}
	}
}

// write makes the UnderlayNode and its status what they should be, and says whether it wrote anything.
func (r *reporter) write(ctx context.Context, status *v1alpha1.UnderlayNodeStatus) (wrote bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var u v1alpha1.UnderlayNode
	err = r.client.Get(ctx, client.ObjectKey{Name: r.node}, &u)
	if apierrors.IsNotFound(err) {
		wrote = true
		err = r.create(ctx, &u)
	}
	if err != nil {
		return wrote, fmt.Errorf("underlaynode/%s: %w", r.node, err)
	}
	merged := merge(u.Status, *status)
	if equality.Semantic.DeepEqual(u.Status, merged) {
		return wrote, nil
	}
	u.Status = merged
	if err := r.client.Status().Update(ctx, &u); err != nil {
		return true, fmt.Errorf("underlaynode/%s: %w", r.node, err)
	}
	return true, nil
}

// create makes the UnderlayNode, which goes with the Node.
func (r *reporter) create(ctx context.Context, u *v1alpha1.UnderlayNode) error {
	var node corev1.Node
	if err := r.client.Get(ctx, client.ObjectKey{Name: r.node}, &node); err != nil {
		return err
	}
	*u = v1alpha1.UnderlayNode{ObjectMeta: metav1.ObjectMeta{
		Name:            r.node,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}},
	}}
	return r.client.Create(ctx, u)
}

// merge gives the new status, with times of conditions that stay from the old one.
func merge(old, status v1alpha1.UnderlayNodeStatus) v1alpha1.UnderlayNodeStatus {
	conditions := status.Conditions
	status.Conditions = nil
	for _, c := range conditions {
		if before := meta.FindStatusCondition(old.Conditions, c.Type); before != nil {
			meta.SetStatusCondition(&status.Conditions, *before)
		}
		meta.SetStatusCondition(&status.Conditions, c)
	}
	return status
}

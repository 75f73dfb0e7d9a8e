// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// maxBackoff is the longest pause after failures, in refreshes.
const maxBackoff = 5

// observation is what is known of the cloud.
type observation struct {
	// snapshot is the newest that succeeded, begun at that time; zero before the first.
	snapshot cloud.Snapshot
	begun    time.Time
	// number counts what was learnt, failures included.
	number int
	// failure of the newest attempt; nil when it succeeded.
	failure *cloud.Error
}

// observer asks the cloud, for all who want to know. It is a manager.Runnable which only the leader runs.
type observer struct {
	provider cloud.Provider
	// nodes of the cluster.
	nodes func(context.Context) ([]v1alpha1.Node, error)
	// tell that something was learnt.
	tell     func()
	options  Options
	measures *measures

	// wake says that nodes have appeared or changed.
	wake chan struct{}

	mu      sync.Mutex
	current observation
}

func newObserver(provider cloud.Provider, nodes func(context.Context) ([]v1alpha1.Node, error), tell func(), options Options, m *measures) *observer {
	return &observer{provider: provider, nodes: nodes, tell: tell, options: options, measures: m, wake: make(chan struct{}, 1)}
}

// newest is what is known now.
func (o *observer) newest() observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current
}

// nodeChanged asks for a snapshot soon, should a node not be in the newest.
func (o *observer) nodeChanged() {
	select {
	case o.wake <- struct{}{}:
	default: // is awake already
	}
}

// Start asks on a period, soon after nodes appear, and after failures with pauses that double.
func (o *observer) Start(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-o.wake:
			if failures > 0 {
				continue // the next attempt sees the node too
			}
			if !pause(ctx, o.options.Debounce) {
				return nil
			}
			if known, err := o.knowsAll(ctx); err == nil && known {
				continue
			}
		}
		if o.refresh(ctx) {
			failures = 0
		} else {
			failures++
		}
		timer.Reset(o.options.after(failures))
	}
}

// NeedLeaderElection is part of manager.LeaderElectionRunnable.
func (o *observer) NeedLeaderElection() bool { return true }

// after is the pause before the next attempt. It is cut by up to a tenth at random.
func (o Options) after(failures int) time.Duration {
	wait := o.Refresh
	if failures > 0 {
		wait = min(o.Retry<<min(failures-1, 16), maxBackoff*o.Refresh)
	}
	return wait - rand.N(wait/10+1)
}

// refresh asks the cloud once, and says whether it answered.
func (o *observer) refresh(ctx context.Context) bool {
	begun := o.options.Now()
	nodes, err := o.nodes(ctx)
	var snapshot cloud.Snapshot
	if err == nil {
		snapshot, err = o.provider.Snapshot(ctx, nodes)
	}
	if ctx.Err() != nil {
		return false
	}
	failure := asCloudError(err)
	o.mu.Lock()
	o.current.number++
	if o.current.failure = failure; failure == nil {
		o.current.snapshot, o.current.begun = snapshot, begun
	}
	o.mu.Unlock()
	o.measures.refreshed(failure, o.options.Now().Sub(begun))
	if err != nil {
		o.options.Log.Error(err, "cannot observe the cloud; pools stay as they are")
	}
	o.tell()
	return err == nil
}

// knowsAll says whether each node is an instance of the newest snapshot.
func (o *observer) knowsAll(ctx context.Context) (bool, error) {
	nodes, err := o.nodes(ctx)
	if err != nil {
		return false, err
	}
	return !slices.Contains(cloud.Match(nodes, o.newest().snapshot.Instances), ""), nil
}

// asCloudError gives every failure a reason.
func asCloudError(err error) *cloud.Error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*cloud.Error](err); ok {
		return known
	}
	return &cloud.Error{Reason: cloud.Other, Message: err.Error(), Cause: err}
}

// pause waits, and says whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

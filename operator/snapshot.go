// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// maxBackoff is the longest pause after failures, in refreshes.
const maxBackoff = 5

const (
	// maxUnknown nodes are looked up by themselves; of more, another snapshot costs fewer calls.
	maxUnknown = 100
	// maxLooks at nodes that the cloud does not show yet, each after twice the pause of the one before. Those that it
	// shows still later wait for the next snapshot.
	maxLooks = 5
)

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

// nodeChanged asks the cloud soon, should the newest snapshot not know a node.
func (o *observer) nodeChanged() {
	select {
	case o.wake <- struct{}{}:
	default: // is awake already
	}
}

// Start asks on a period, soon about nodes that appear, and after failures with pauses that double.
func (o *observer) Start(ctx context.Context) error {
	period, again := time.NewTimer(0), time.NewTimer(time.Hour)
	defer period.Stop()
	defer again.Stop()
	failures, looks := 0, 0
	for {
		ok := true
		select {
		case <-ctx.Done():
			return nil
		case <-period.C:
			ok = o.refresh(ctx)
		case <-o.wake:
			looks = 0
			if !pause(ctx, o.options.Debounce) {
				return nil
			}
			again.Reset(0)
			continue
		case <-again.C:
			if failures > 0 {
				continue // the next attempt sees the nodes too
			}
			var found bool
			if found, ok = o.lookUp(ctx); !found && ok && looks < maxLooks {
				again.Reset(o.options.Retry << looks)
				looks++
			}
			if ok {
				continue
			}
		}
		if failures++; ok {
			failures = 0
		}
		period.Reset(o.options.after(failures))
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
	o.measures.refreshed(failure, o.options.Now().Sub(begun))
	o.learn(failure, func(known *observation) { known.snapshot, known.begun = snapshot, begun })
	return err == nil
}

// lookUp asks the cloud about nodes that the newest snapshot does not know, and says whether it knows all now, and
// whether it answered. Many are a reason for another snapshot.
func (o *observer) lookUp(ctx context.Context) (found, ok bool) {
	nodes, err := o.nodes(ctx)
	if err != nil {
		return false, true // the API server's failures are not the cloud's
	}
	seen := o.newest()
	unknown := unknownNodes(nodes, seen.snapshot)
	switch {
	case len(unknown) == 0:
		return true, true
	case seen.begun.IsZero() || len(unknown) > maxUnknown:
		return true, o.refresh(ctx)
	}
	part, err := o.provider.Instances(ctx, unknown)
	if ctx.Err() != nil {
		return false, true
	}
	if err == nil && len(part.Instances) == 0 {
		return false, true
	}
	o.learn(asCloudError(err), func(known *observation) { known.snapshot = known.snapshot.With(part) })
	return len(unknownNodes(nodes, o.newest().snapshot)) == 0, err == nil
}

func unknownNodes(nodes []v1alpha1.Node, snapshot cloud.Snapshot) []v1alpha1.Node {
	var out []v1alpha1.Node
	for i, instance := range cloud.Match(nodes, snapshot.Instances) {
		if instance == "" {
			out = append(out, nodes[i])
		}
	}
	return out
}

// learn keeps what an attempt has brought, and tells of it.
func (o *observer) learn(failure *cloud.Error, success func(*observation)) {
	o.mu.Lock()
	o.current.number++
	if o.current.failure = failure; failure == nil {
		success(&o.current)
	}
	o.mu.Unlock()
	if failure != nil {
		o.options.Log.Error(failure, "cannot observe the cloud; pools stay as they are")
	}
	o.tell()
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

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/underlay-dev/kubectl-underlay/internal/check"
	"github.com/underlay-dev/kubectl-underlay/internal/kube"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// lookEvery is the least time between two looks at a cluster; where a look takes long, the next waits longer.
const (
	lookEvery    = time.Second
	lookAtMost   = 4 // a fifth of the time at most is spent looking
	notInstalled = "nothing is installed"
)

// stage is a part of an installation that becomes ready.
type stage struct {
	name string
	// holds says whether a finding keeps the stage from being ready.
	holds func(plan.Finding) bool
	// done describes it when it is.
	done func(kube.Observation) string
}

// stages of an installation of this plan, in the order in which they become ready. An empty plan holds up nothing.
func stages(p plan.Plan) []stage {
	served := map[string]bool{}
	for _, pool := range p.Pools {
		served["network/"+pool.Spec.NetworkName] = true
	}
	about := func(ids ...string) func(plan.Finding) bool {
		return func(f plan.Finding) bool { return f.Severity != plan.Info && slices.Contains(ids, f.ID) }
	}
	return []stage{
		{"operator", about(check.IDOperatorNotReady), func(seen kube.Observation) string {
			available, _ := seen.Install.OperatorReady()
			return plan.Count(int(available), "replica") + " available"
		}},
		{"agents", about(check.IDAgentNotReady), func(seen kube.Observation) string {
			return fmt.Sprintf("ready on %s", plan.Count(len(seen.Reports), "node"))
		}},
		{"pools", func(f plan.Finding) bool {
			// A network that has no pool here, such as one whose nodes are yet to come, holds up nobody.
			return f.ID == check.IDPoolNotAsPlanned || f.ID == check.IDNetworkNotReady && (served[f.Object] || len(p.Networks) == 0)
		}, func(seen kube.Observation) string {
			return plan.Count(len(seen.Pools), "pool") + " as planned"
		}},
		{"nodes", func(f plan.Finding) bool {
			return f.ID == check.IDPoolNotObserved || f.ID == check.IDNodeWithoutCNI && f.Severity == plan.Error
		}, func(kube.Observation) string { return "every agent knows its pools" }},
	}
}

// waitReady waits until no finding holds up a stage. When time runs out it says what is missing, and why.
func (g *global) waitReady(ctx context.Context, limit time.Duration, cluster *kube.Cluster, p plan.Plan) error {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w := watcher{cluster: cluster, plan: p}
	if err := w.look(waiting); err != nil {
		return err
	}
	for _, s := range stages(p) {
		step := g.chatter().Step(s.name)
		for first := true; ; first = false {
			if !first {
				if err := w.lookAgain(waiting); err != nil {
					step.Fail(w.why(s, err, limit))
					return g.unfinished(ctx, limit, w, err)
				}
			}
			held := w.held(s)
			if held == "" {
				break
			}
			step.Update(held)
		}
		step.Done(s.done(w.seen))
	}
	return nil
}

// unfinished tells all that is missing, and gives the error to end with.
func (g *global) unfinished(ctx context.Context, limit time.Duration, w watcher, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	var missing []plan.Finding
	for _, f := range w.findings() {
		if slices.ContainsFunc(stages(w.plan), func(s stage) bool { return s.holds(f) }) {
			missing = append(missing, f)
		}
	}
	g.report(missing)
	return timedOutError{fmt.Sprintf("not ready after %s (--timeout): it may still become so; `kubectl underlay status` shows it, "+
		"and running the same command again waits again", limit)}
}

// watcher looks at a cluster again and again.
type watcher struct {
	cluster *kube.Cluster
	plan    plan.Plan
	seen    kube.Observation
	took    time.Duration
	lost    error // why the last look failed
}

func (w *watcher) look(ctx context.Context) error {
	start := time.Now()
	seen, err := w.cluster.ObserveInstall(ctx)
	w.took = time.Since(start)
	if err == nil {
		w.seen = seen
	}
	return err
}

// lookAgain waits a while, and looks. An API server that is away for a moment is no reason to give up.
func (w *watcher) lookAgain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(max(lookEvery, lookAtMost*w.took)):
	}
	w.lost = w.look(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case apierrors.IsForbidden(w.lost), apierrors.IsUnauthorized(w.lost):
		return w.lost
	}
	return nil
}

func (w *watcher) findings() []plan.Finding {
	return check.Health(check.Inputs{Plan: w.plan, Cluster: clusterOf(w.seen)})
}

// held says what keeps a stage from being ready; nothing if it is.
func (w *watcher) held(s stage) string {
	if w.lost != nil {
		return w.lost.Error()
	}
	if w.seen.Install == nil {
		return notInstalled
	}
	var held []plan.Finding
	for _, f := range w.findings() {
		if s.holds(f) {
			held = append(held, f)
		}
	}
	if len(held) == 0 {
		return ""
	}
	text := strings.TrimPrefix(held[0].Object, "deployment/") + ": " + held[0].Message
	if len(held) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(held)-1)
	}
	return text
}

// why is the error of a stage that did not become ready.
func (w *watcher) why(s stage, err error, limit time.Duration) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("not within %s: %s", limit, w.held(s))
	}
	return err
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/operator/agent/host"
)

// Options of an agent.
type Options struct {
	// NodeName is the Node object's.
	NodeName string
	// Version of the program.
	Version string
	// Paths of the machine.
	Paths host.Paths
	// HealthAddress and MetricsAddress are where these are served; "0" or empty: nowhere.
	HealthAddress, MetricsAddress string
	Log                           *slog.Logger
}

const (
	// calm is how long the agent waits behind a change of what it must follow, since these come in bursts.
	calm = 200 * time.Millisecond
	// linkCalm likewise behind a change of links: each pod is some, while a new interface is rare.
	linkCalm = time.Second
	// tick is the period in which the agent looks by itself: for settings and files that others changed, and addresses whose rest is over.
	tick = time.Minute
	// collectEvery is the period of garbage collection. What it looks for is rare, and harmless for minutes.
	collectEvery = 3 * time.Minute
)

// agent is the loop: it alone works on the host.
type agent struct {
	options  Options
	facts    facts
	world    *world
	host     *host.Host
	reporter *reporter
	// beat is when the loop last came around, in Unix nanoseconds; inPlace whether a node file was in place then, or none is needed.
	beat    atomic.Int64
	inPlace atomic.Bool
	// seen is what the last step saw.
	seen      atomic.Pointer[host.Observation]
	collected time.Time
}

// Run runs the agent of a node until the context ends. Only what can never work is an error; all else is retried and told.
func Run(ctx context.Context, config *rest.Config, options Options) error {
	a, err := newAgent(ctx, config, options)
	if err != nil {
		return err
	}
	served, err := a.serve(ctx)
	if err != nil {
		return err
	}
	defer served()
	go a.reporter.run(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.world.cache.Start(ctx) }()
	a.loop(ctx)
	return <-ended
}

func newAgent(ctx context.Context, config *rest.Config, options Options) (*agent, error) {
	if options.NodeName == "" {
		return nil, fmt.Errorf("the node's name is missing: give --node-name, or the environment variable NODE_NAME")
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	a := &agent{options: options, host: host.New(options.Paths, options.Log)}
	if a.facts, err = readFacts(options.Version); err != nil {
		return nil, err
	}
	if a.world, err = newWorld(ctx, config, scheme, options.NodeName); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: newMapper(), Cache: &client.CacheOptions{Reader: a.world.cache}})
	if err != nil {
		return nil, err
	}
	a.reporter = &reporter{
		node: options.NodeName, client: c, log: options.Log, every: reportEvery,
		wanted: make(chan v1alpha1.UnderlayNodeStatus, 1), changed: a.world.report,
	}
	return a, nil
}

func readFacts(version string) (facts, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return facts{}, fmt.Errorf("ask for the kernel's version: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return facts{}, err
	}
	return facts{kernel: unix.ByteSliceToString(name.Release[:]), bootID: strings.TrimSpace(string(boot)), version: version}, nil
}

// loop does a step at once, and whenever something may be to do.
func (a *agent) loop(ctx context.Context) {
	changes := a.host.Watch(ctx)
	due := time.NewTimer(0)
	defer due.Stop()
	next := time.Now()
	sooner := func(wait time.Duration) {
		if at := time.Now().Add(wait); at.Before(next) {
			next = at
			due.Reset(wait)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.world.inputs:
			sooner(calm)
		case <-changes.Links:
			sooner(linkCalm)
		case <-changes.Store:
			sooner(reportEvery) // nothing is to do but to count and report
		case <-due.C:
			a.step(ctx)
			a.beat.Store(time.Now().UnixNano())
			next = time.Now().Add(tick)
			due.Reset(tick)
			sooner(a.rest())
		}
	}
}

// rest is how long it takes until an address comes back that was released: then the numbers are others, though nothing happened.
func (a *agent) rest() time.Duration {
	wait := tick
	for _, p := range a.seen.Load().Pools {
		if p.Rests > 0 {
			wait = min(wait, max(p.Rests, reportEvery))
		}
	}
	return wait
}

// step makes the host what the API server wants it to be, or what the node file in place says, and hands on what it saw.
func (a *agent) step(ctx context.Context) {
	if time.Since(a.collected) >= collectEvery {
		a.collected = time.Now()
		if err := a.host.FindObstacles(); err != nil {
			a.options.Log.Warn("obstacles are unknown", "error", err)
		}
		if err := a.host.Collect(ctx); err != nil {
			a.options.Log.Warn("garbage collection failed", "error", err)
		}
	}
	o, problems := a.apply(ctx)
	a.inPlace.Store(o.File != nil || o.Vacant)
	a.seen.Store(&o)
	if ctx.Err() == nil {
		a.reporter.want(statusOf(a.facts, o, problems))
	}
}

func (a *agent) apply(ctx context.Context) (host.Observation, []Problem) {
	in, unknown, known, err := a.world.read(ctx)
	if err != nil {
		a.options.Log.Warn("the node's networks and pools are unknown", "error", err)
	}
	if !known || err != nil {
		return a.host.Apply(ctx, a.options.NodeName, nil), unknown
	}
	var macs []string
	for i := range in.Pools {
		macs = append(macs, in.Pools[i].Spec.Interface.MACAddress)
	}
	links, err := a.host.Links(macs)
	if err != nil {
		// Without the node's own addresses the file could hand one of them out.
		a.options.Log.Warn("the node's links are unknown", "error", err)
		return a.host.Apply(ctx, a.options.NodeName, nil), nil
	}
	for _, l := range links {
		in.Node.Addresses = append(in.Node.Addresses, l.Addresses...)
	}
	if len(in.Networks) == 0 && len(in.Pools) == 0 {
		o, err := a.host.Vacate(ctx)
		switch {
		case err != nil:
			a.options.Log.Warn("the machine cannot be vacated", "error", err)
		case o.Vacant:
			return o, unknown
		}
	}
	in.Writer = "underlay-agent " + a.options.Version
	file, problems := NodeFile(in)
	return a.host.Apply(ctx, a.options.NodeName, &file), append(unknown, problems...)
}

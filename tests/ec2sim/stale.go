// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"maps"
	"slices"
	"time"
)

// staleness is what reads see in place of the world: EC2 is eventually consistent.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
type staleness struct {
	// old is the world of the past, by the action that still sees it.
	old map[string]*World
	// lag is how long a write stays unseen; thaws is when the last one is seen.
	lag   time.Duration
	thaws time.Time
}

// Freeze lets actions see the world as it is now, whatever is written to it, until Thaw; without names all that read.
func (s *Server) Freeze(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freeze(actions)
}

func (s *Server) freeze(actions []string) {
	if len(actions) == 0 {
		actions = slices.Collect(maps.Keys(s.registry))
	}
	now := s.world.clone()
	s.stale.old = map[string]*World{}
	for _, name := range actions {
		s.stale.old[name] = now
	}
}

// Thaw lets all actions see the world as it is.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale.old = nil
}

// Lag lets no action see a write before d has passed; 0 for at once.
func (s *Server) Lag(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale.lag = d
}

// act runs an action on the world that it sees. It holds the lock.
func (s *Server) act(act action, p *params) (answer, error) {
	now := s.world.now()
	if s.stale.lag > 0 && !now.Before(s.stale.thaws) {
		s.stale.old = nil
	}
	s.world.settle(now)
	if act.writes {
		if s.stale.lag > 0 && s.stale.old == nil {
			s.freeze(nil)
		}
		out, err := act.run(s.world, p)
		if err == nil && s.stale.lag > 0 {
			s.stale.thaws = now.Add(s.stale.lag)
		}
		return out, err
	}
	if old := s.stale.old[act.name]; old != nil {
		return act.run(old, p)
	}
	return act.run(s.world, p)
}

// clone copies what may change.
func (w *World) clone() *World {
	out := *w
	out.VPCs, out.Types, out.Items, out.Reservations = maps.Clone(w.VPCs), maps.Clone(w.Types), maps.Clone(w.Items), maps.Clone(w.Reservations)
	out.Subnets = cloneAll(w.Subnets, func(s *Subnet) { s.Tags = maps.Clone(s.Tags) })
	out.Instances = cloneAll(w.Instances, func(i *Instance) { i.Tags = maps.Clone(i.Tags) })
	out.Interfaces = cloneAll(w.Interfaces, func(n *NetworkInterface) {
		n.SecondaryIPv4, n.SecondaryIPv6 = slices.Clone(n.SecondaryIPv4), slices.Clone(n.SecondaryIPv6)
		n.IPv4Prefixes, n.IPv6Prefixes = slices.Clone(n.IPv4Prefixes), slices.Clone(n.IPv6Prefixes)
		n.SecurityGroups, n.Tags = slices.Clone(n.SecurityGroups), maps.Clone(n.Tags)
	})
	return &out
}

func cloneAll[T any](in map[string]*T, own func(*T)) map[string]*T {
	out := make(map[string]*T, len(in))
	for id, item := range in {
		copied := *item
		own(&copied)
		out[id] = &copied
	}
	return out
}

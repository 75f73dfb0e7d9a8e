// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"time"

	"github.com/go-logr/logr"
)

// Options of the operator; the zero value is the default.
type Options struct {
	// Namespace of the leader's lease; underlay-system by default.
	Namespace string
	// Refresh is the period of cloud snapshots, one minute by default; each is up to a tenth early, so that the operators
	// of an account do not ask at once.
	Refresh time.Duration
	// Settle is how far apart two snapshots must have begun for the operator to believe what both say: that a range is
	// gone, or has come back. One minute by default.
	Settle time.Duration
	// Debounce is how long node events are collected before the cloud is asked, and events of intent before they are
	// acted upon; 50 ms by default. Reports of agents, which are many, are collected ten times as long.
	Debounce time.Duration
	// Retry is the first pause after a failure of the cloud; the pauses double up to five refreshes. One second by default.
	Retry time.Duration
	// Writes at a time; 16 by default.
	Writes int
	// HealthAddress serves /healthz and /readyz, MetricsAddress Prometheus' /metrics; empty or 0: not at all.
	HealthAddress, MetricsAddress string
	// Lease is how long a leader that is not heard of stays leader; 30 seconds by default. Nothing hurries: pods start and
	// stop without an operator, and a busy API server can be slow to answer.
	Lease time.Duration
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// Log of what happens.
	Log logr.Logger
}

func (o Options) withDefaults() Options {
	o.Namespace = cmp.Or(o.Namespace, "underlay-system")
	o.Refresh = cmp.Or(o.Refresh, time.Minute)
	o.Settle = cmp.Or(o.Settle, time.Minute)
	o.Debounce = cmp.Or(o.Debounce, 50*time.Millisecond)
	o.Retry = cmp.Or(o.Retry, time.Second)
	o.Writes = cmp.Or(o.Writes, 16)
	o.HealthAddress = cmp.Or(o.HealthAddress, "0")
	o.MetricsAddress = cmp.Or(o.MetricsAddress, "0")
	o.Lease = cmp.Or(o.Lease, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log.IsZero() {
		o.Log = logr.Discard()
	}
	return o
}

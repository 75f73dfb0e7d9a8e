// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/operator/agent/host"
)

// metrics are read off when somebody asks: what the agent saw last, and the kernel's counters.
type metrics struct {
	seen               *atomic.Pointer[host.Observation]
	addresses, dropped *prometheus.Desc
}

func newMetrics(seen *atomic.Pointer[host.Observation]) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &metrics{
		seen: seen,
		addresses: prometheus.NewDesc("underlay_pool_addresses",
			"Addresses of a pool of this node by state: held by pods, cooling (released, and at rest), quarantined (used by something unknown), draining, free.", []string{"pool", "state"}, nil),
		dropped: prometheus.NewDesc("underlay_host_leg_dropped_packets_total",
			"Packets that came up host legs and were dropped: forged-source (not from the pod's address), not-forwarded (neither translated nor in hostAccess.cidrs).", []string{"reason"}, nil),
	})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.addresses
	out <- m.dropped
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	if o := m.seen.Load(); o != nil {
		for _, p := range o.Pools {
			for state, n := range map[string]int64{"held": p.Held, "cooling": p.Cooling, "quarantined": p.Quarantined, "draining": p.Draining, "free": p.Free} {
				out <- prometheus.MustNewConstMetric(m.addresses, prometheus.GaugeValue, float64(n), p.Pool, state)
			}
		}
	}
	packets, err := datapath.DroppedPackets()
	if err != nil {
		out <- prometheus.NewInvalidMetric(m.dropped, err)
		return
	}
	for reason, n := range packets {
		out <- prometheus.MustNewConstMetric(m.dropped, prometheus.CounterValue, float64(n), reason)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// measures of the operator, besides those of controller-runtime.
type measures struct {
	refreshes *prometheus.CounterVec
	seconds   prometheus.Histogram
}

// newMetrics registers them with those of controller-runtime; another operator in the same process shares them.
func newMetrics() (*measures, error) {
	refreshes, err := register(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "underlay_cloud_refreshes_total",
		Help: "Cloud snapshots by result: ok, or the reason of the failure."}, []string{"result"}))
	if err != nil {
		return nil, err
	}
	seconds, err := register(prometheus.NewHistogram(prometheus.HistogramOpts{Name: "underlay_cloud_refresh_seconds",
		Help: "How long cloud snapshots took.", Buckets: prometheus.ExponentialBuckets(0.05, 2, 12)}))
	if err != nil {
		return nil, err
	}
	return &measures{refreshes: refreshes, seconds: seconds}, nil
}

func register[T prometheus.Collector](collector T) (T, error) {
	err := metrics.Registry.Register(collector)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := known.ExistingCollector.(T); ok {
			return same, nil
		}
	}
	if err != nil {
		return collector, fmt.Errorf("metrics: %w", err)
	}
	return collector, nil
}

// refreshed counts a cloud snapshot.
func (m *measures) refreshed(failure *cloud.Error, took time.Duration) {
	result := "ok"
	if failure != nil {
		result = string(failure.Reason)
	}
	m.refreshes.WithLabelValues(result).Inc()
	m.seconds.Observe(took.Seconds())
}

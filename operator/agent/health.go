// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// stuck is how long the loop may take to come around: several times its tick and the longest wait for the store's lock.
const stuck = 5 * time.Minute

// serve serves health and metrics where the options say, until the returned function is called.
func (a *agent) serve(ctx context.Context) (stop func(), err error) {
	a.beat.Store(time.Now().UnixNano())
	health, measured := http.NewServeMux(), http.NewServeMux()
	health.HandleFunc("GET /healthz", a.healthy)
	health.HandleFunc("GET /readyz", a.ready)
	stopHealth, err := listen(ctx, a.options.HealthAddress, health)
	if err != nil {
		return nil, err
	}
	measured.Handle("GET /metrics", newMetrics(&a.seen))
	stopMetrics, err := listen(ctx, a.options.MetricsAddress, measured)
	if err != nil {
		stopHealth()
		return nil, err
	}
	return func() {
		stopHealth()
		stopMetrics()
	}, nil
}

// listen serves at the address, unless it is none.
func listen(ctx context.Context, address string, handler http.Handler) (stop func(), err error) {
	if address == "" || address == "0" {
		return func() {}, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return func() { _ = server.Close() }, nil
}

// healthy: the loop comes around. That the API server is away is no illness, and restarting no cure.
func (a *agent) healthy(w http.ResponseWriter, _ *http.Request) {
	answer(w, func() error {
		if since := time.Since(time.Unix(0, a.beat.Load())); since > stuck {
			return fmt.Errorf("the agent hangs for %s", since.Round(time.Second))
		}
		return nil
	}())
}

// ready: pods can be attached, with the API server or without.
func (a *agent) ready(w http.ResponseWriter, _ *http.Request) {
	answer(w, func() error {
		if !a.inPlace.Load() {
			return errors.New("no node file is in place")
		}
		return nil
	}())
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

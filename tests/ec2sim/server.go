// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Server is a running simulator. Its methods may be called at any time, by any goroutine.
type Server struct {
	url      string
	http     *http.Server
	registry map[string]action
	changed  func(*World) // called with mu held

	mu    sync.Mutex
	world *World
	gates gates
	stale staleness
	calls []Call
}

// Option changes a new server.
type Option func(*options)

// OnChange has the function called with the world after each call that changed it, each Update, and at the start. It runs
// while the world is locked: it must not call the server.
func OnChange(changed func(*World)) Option {
	return func(o *options) { o.changed = changed }
}

type options struct {
	address string
	changed func(*World)
}

// Address sets host and port to listen on, in place of a free port of 127.0.0.1.
func Address(address string) Option {
	return func(o *options) { o.address = address }
}

// New starts a server that knows what the inventory says: each node with an instanceID is a running instance.
func New(inv v1alpha1.Inventory, opts ...Option) (*Server, error) {
	o := options{address: "127.0.0.1:0", changed: func(*World) {}}
	for _, opt := range opts {
		opt(&o)
	}
	world, err := Load(inv)
	if err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", o.address)
	if err != nil {
		return nil, fmt.Errorf("listen for the EC2 simulator: %w", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("the EC2 simulator listens on loopback only, not on %s", o.address), listener.Close())
	}
	s := &Server{
		url:      "http://" + listener.Addr().String(),
		registry: registry(),
		changed:  o.changed,
		world:    world,
		gates:    gates{denied: map[string]bool{}},
	}
	s.changed(world)
	s.http = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(listener) //nolint:errcheck // it always ends with ErrServerClosed
	return s, nil
}

// URL to give as AWS_ENDPOINT_URL.
func (s *Server) URL() string { return s.url }

// Close stops the server, along with calls that are under way.
func (s *Server) Close() { _ = s.http.Close() }

// Update changes the world. When change fails, what it did up to there stays.
func (s *Server) Update(change func(*World) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := change(s.world)
	s.changed(s.world)
	return err
}

// SetClock gives the server another clock than the machine's, for what takes time: throttling, attaching, staleness.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.now = now
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	// Larger than the SDK's largest request: 200 filter values.
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		writeError(w, "", malformedQuery(err))
		return
	}
	call := newCall(r)
	id := s.record(call)
	answer, err := s.handle(r, call)
	if err != nil {
		var failure *Error
		if !errors.As(err, &failure) {
			failure = internal(err)
		}
		s.recordError(id, failure.Code)
		writeError(w, requestID(id), failure)
		return
	}
	writeAnswer(w, call.Action, requestID(id), answer)
}

// handle takes a request through the gates to its action.
func (s *Server) handle(r *http.Request, call Call) (answer, error) {
	if err := s.pass(r, call); err != nil {
		return nil, err
	}
	act, ok := s.registry[call.Action]
	switch {
	case call.Action == "":
		return nil, missingAction()
	case !ok:
		return nil, invalidAction(call.Action)
	case call.Params.Get("Version") != apiVersion:
		return nil, noSuchVersion(call.Params.Get("Version"))
	}
	params := newParams(call.Params)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates.denied[call.Action] {
		return nil, unauthorizedOperation(act, params.text("NetworkInterfaceId"))
	}
	// EC2 answers a dry run before it looks at the other parameters. All actions know it, even those that the SDK cannot
	// send it to: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
	dryRun, err := params.flag("DryRun")
	if err != nil {
		return nil, err
	}
	if dryRun {
		return nil, dryRunOperation()
	}
	result, err := s.act(act, params)
	if err == nil && act.writes {
		s.changed(s.world)
	}
	return result, err
}

func requestID(n int) string {
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
}

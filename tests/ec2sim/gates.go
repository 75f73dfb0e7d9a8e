// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"net/http"
	"strings"
	"time"
)

// gates is what a request has to pass, as set by the test.
type gates struct {
	denied      map[string]bool
	credentials Credentials
	faults      []*Fault
	// buckets is nil where calls are not throttled.
	buckets buckets
}

// Credentials says what the simulator thinks of the credentials that requests carry.
type Credentials int

// The states of credentials.
const (
	// Accepted whatever they are.
	Accepted Credentials = iota
	// Expired temporary credentials.
	Expired
	// Unknown to AWS, or of an account in which the region is not enabled.
	Unknown
)

// Fault makes calls fail or wait.
type Fault struct {
	// Action that is meant; empty for all.
	Action string
	// Times that it happens; 0 for always.
	Times int
	// Reached is called, if set, when it happens, before the delay.
	Reached func()
	// Delay before the answer, cut short when the client or the server goes away.
	Delay time.Duration
	// Error to answer; nil for the usual answer.
	Error *Error
	// HangUp closes the connection without an answer.
	HangUp bool
	// Body answers this with status 200, as something that is not EC2 would; Status sets another status.
	Body   string
	Status int
}

// Deny takes away the permission for actions, named as in Action: DescribeVpcs.
func (s *Server) Deny(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range actions {
		s.gates.denied[name] = true
	}
}

// Allow gives permissions back.
func (s *Server) Allow(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range actions {
		delete(s.gates.denied, name)
	}
}

// SetCredentials says what to think of credentials from now on.
func (s *Server) SetCredentials(c Credentials) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates.credentials = c
}

// Inject adds a fault. The first that fits a call happens.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates.faults = append(s.gates.faults, &f)
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates.faults = nil
}

// pass takes a request through the gates that come ahead of its parameters.
func (s *Server) pass(r *http.Request, call Call) error {
	for _, gate := range []func(*http.Request, Call) error{s.checkCredentials, s.throttle, s.suffer} {
		if err := gate(r, call); err != nil {
			return err
		}
	}
	return nil
}

// checkCredentials looks whether there are any; it verifies no signature.
func (s *Server) checkCredentials(r *http.Request, call Call) error {
	if r.Header.Get("Authorization") == "" {
		return noCredentials()
	}
	if call.AccessKeyID == "" {
		return authFailure()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.gates.credentials {
	case Expired:
		return requestExpired()
	case Unknown:
		return authFailure()
	default:
		return nil
	}
}

// suffer lets the first fault that fits happen.
func (s *Server) suffer(r *http.Request, call Call) error {
	fault := s.nextFault(call.Action)
	if fault == nil {
		return nil
	}
	if fault.Reached != nil {
		fault.Reached()
	}
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	switch {
	case fault.HangUp:
		panic(http.ErrAbortHandler)
	case fault.Body != "" || fault.Status != 0:
		return &Error{Status: max(fault.Status, http.StatusOK), body: fault.Body}
	case fault.Error != nil:
		return fault.Error
	default:
		return nil
	}
}

func (s *Server) nextFault(name string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, fault := range s.gates.faults {
		if fault.Action != "" && fault.Action != name {
			continue
		}
		copied := *fault
		if fault.Times == 1 {
			s.gates.faults = append(s.gates.faults[:i:i], s.gates.faults[i+1:]...)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return &copied
	}
	return nil
}

// scope takes access key, region and service out of an Authorization header:
//
//	AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-central-1/ec2/aws4_request, SignedHeaders=…, Signature=…
func scope(authorization string) (accessKeyID, region string) {
	rest, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 ")
	if !ok {
		return "", ""
	}
	for field := range strings.SplitSeq(rest, ",") {
		credential, ok := strings.CutPrefix(strings.TrimSpace(field), "Credential=")
		parts := strings.Split(credential, "/")
		if ok && len(parts) == 5 && parts[3] == "ec2" && parts[4] == "aws4_request" {
			return parts[0], parts[2]
		}
	}
	return "", ""
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"net/http"
	"net/url"
	"slices"
)

// Call is one request.
type Call struct {
	// Action such as DescribeVpcs.
	Action string
	// Params are all parameters.
	Params url.Values
	// AccessKeyID and Region that the request was signed for.
	AccessKeyID, Region string
	// Error is the code that was answered; empty when the call went well, or goes on.
	Error string
}

func newCall(r *http.Request) Call {
	call := Call{Action: r.Form.Get("Action"), Params: r.Form}
	call.AccessKeyID, call.Region = scope(r.Header.Get("Authorization"))
	return call
}

// Calls returns all calls so far, in the order in which they came.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Counts returns the number of calls of each action.
func (s *Server) Counts() map[string]int {
	counts := map[string]int{}
	for _, call := range s.Calls() {
		counts[call.Action]++
	}
	return counts
}

// ForgetCalls empties the record.
func (s *Server) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// record keeps a call and returns its number.
func (s *Server) record(call Call) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	return len(s.calls)
}

func (s *Server) recordError(id int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id <= len(s.calls) {
		s.calls[id-1].Error = code
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Throttle makes calls take tokens out of AWS's buckets from now on; all are full at first. A call that finds none is
// answered with RequestLimitExceeded. Each action of an account and region has a bucket of its own, which everything
// that calls it shares.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
func (s *Server) Throttle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gates.buckets = buckets{}
}

// Spend takes all tokens of an action, as another program of the account would. Calls have to be throttled.
func (s *Server) Spend(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := Call{Action: name, Params: url.Values{"MaxResults": {"5"}}}
	for s.gates.buckets.take(call, s.world.now()) == nil {
		continue
	}
}

// buckets by action, and "unfiltered" in front of it for calls that neither filter nor page.
type buckets map[string]*bucket

// bucket holds tokens up to a size, and gets some each second.
type bucket struct {
	size, refill, tokens float64
	at                   time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.tokens = min(b.size, b.tokens+b.refill*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// throttle takes a token for a call, whatever becomes of it afterwards.
func (s *Server) throttle(_ *http.Request, call Call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gates.buckets == nil {
		return nil
	}
	return s.gates.buckets.take(call, s.world.now())
}

func (b buckets) take(call Call, now time.Time) error {
	size, refill := allowance(call.Action)
	key := call.Action
	if isRead(call.Action) && !narrowed(call) {
		key, size, refill = "unfiltered "+key, 50, 10
	}
	if b[key] == nil {
		b[key] = &bucket{size: size, refill: refill, tokens: size, at: now}
	}
	if !b[key].take(now) {
		return RequestLimitExceeded()
	}
	return nil
}

// allowance is the size of an action's bucket, and its tokens a second.
func allowance(name string) (size, refill float64) {
	switch {
	case isRead(name):
		return 100, 20
	case strings.HasPrefix(name, "Assign"), strings.HasPrefix(name, "Unassign"), name == "CreateNetworkInterface",
		name == "DeleteNetworkInterface", name == "ModifyNetworkInterfaceAttribute":
		return 100, 5
	case name == "CreateTags":
		return 100, 10
	default:
		return 50, 5
	}
}

func isRead(name string) bool {
	return strings.HasPrefix(name, "Describe") || strings.HasPrefix(name, "Get")
}

// narrowed says whether a call filters or pages. Those that do not are dear to EC2.
func narrowed(call Call) bool {
	return call.Params.Has("Filter.1.Name") || call.Params.Has("MaxResults") || call.Params.Has("NextToken")
}

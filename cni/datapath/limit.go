// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"fmt"
	"math"
)

// Bandwidth limits what goes by an interface; the host leg is not limited.
type Bandwidth struct {
	// Ingress is what the pod receives, Egress what it sends.
	Ingress, Egress Limit
}

// Limit of one direction.
type Limit struct {
	// Rate in bits per second; 0 for no limit.
	Rate uint64
	// Burst in bits that may go at once after silence; 0 for as little as keeps the rate steady.
	Burst uint64
}

// shaper is a token bucket filter as the root queue of a link, as it should be, or as the kernel says it is.
type shaper struct {
	index int // of the link
	// rate in bytes per second.
	rate uint64
	// burst in bytes; 0 of what the kernel says, whose unit is another one. The queue's length follows from it.
	burst uint32
	// queue in bytes: what is longer is dropped.
	queue uint32
}

func (s shaper) String() string { return fmt.Sprintf("the limit of %d bit/s", s.rate*8) }

// A bucket holds a tenth of a second, and the queue a fifth. A shorter bucket loses rate whenever the machine is late, a longer one lets short transfers go
// far beyond the limit; TCP does not reach the rate with a shorter queue, and with a longer one packets wait for long.
const (
	bucketsPerSecond = 10
	queuesPerSecond  = 5
)

// unlimitedBurst and more is what runtimes give that have no burst to give.
const unlimitedBurst = math.MaxInt32

// shaper for the limit on a link.
func (l Limit) shaper(index, mtu int) shaper {
	rate := l.Rate / 8
	frames := uint64(2*mtu + 4096) // with less, the largest frame would never go
	burst := l.Burst / 8
	if burst == 0 || l.Burst >= unlimitedBurst {
		burst = rate / bucketsPerSecond
	}
	burst = max(burst, frames)
	queue := burst + max(rate/queuesPerSecond, 8*frames)
	return shaper{index: index, rate: rate, burst: uint32(min(burst, math.MaxUint32/2)), queue: uint32(min(queue, math.MaxUint32))}
}

// limiter is the name of the link through which goes what the pod receives, if that is limited: a link's own queue is only for what it sends.
func (i Identity) limiter() string { return fmt.Sprintf("bw%d", i.index()) }

// limiterIndex is the limiter's, apart from those of interfaces.
func (i Identity) limiterIndex() int { return 1<<20 + i.index() }

// wantLimits adds the queues.
func (e *Endpoint) wantLimits(w *want, l links) {
	if limit := e.Bandwidth.Egress; limit.Rate != 0 {
		w.shapers = append(w.shapers, limit.shaper(l.pod.index, l.pod.MTU))
	}
	if limit := e.Bandwidth.Ingress; limit.Rate != 0 {
		w.shapers = append(w.shapers, limit.shaper(e.limiterIndex(), l.pod.MTU))
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"fmt"
	"strings"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"golang.org/x/time/rate"
)

// pace keeps calls within half of AWS's token buckets, one for each action: everything that runs in the account shares
// them, and the rest is for others. The SDK's adaptive mode slows down only once a call was refused; it still does when
// others have emptied a bucket.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
type pace struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

func newPace() *pace { return &pace{limiters: map[string]*rate.Limiter{}} }

// wait for the call that the context is of, as the SDK says.
func (p *pace) wait(ctx context.Context) error {
	if err := p.limiter(awsmiddleware.GetOperationName(ctx)).Wait(ctx); err != nil {
		return fmt.Errorf("wait to call EC2 again: %w", err)
	}
	return nil
}

func (p *pace) limiter(operation string) *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limiters[operation] == nil {
		p.limiters[operation] = rate.NewLimiter(share(operation))
	}
	return p.limiters[operation]
}

// share is half of an action's bucket: calls a second, and calls at once. We filter and page whatever we describe, for
// which the bucket is the larger one. Of the buckets of actions that write, all hold 50 tokens and get 5 a second at least.
func share(operation string) (perSecond rate.Limit, atOnce int) {
	if strings.HasPrefix(operation, "Describe") || strings.HasPrefix(operation, "Get") {
		return 10, 50
	}
	return 2.5, 25
}

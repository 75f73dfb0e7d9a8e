// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"net"
	"syscall"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// maxAttempts of a call. Throttling is shared by everything in the account, so it may last longer than the SDK's three.
const maxAttempts = 6

// retryer retries as the SDK's adaptive mode does, and keeps every attempt to the pace.
type retryer struct {
	sdk.RetryerV2
	pace *pace
}

// GetAttemptToken is what the SDK asks for ahead of each attempt.
func (r retryer) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if err := r.pace.wait(ctx); err != nil {
		return nil, err
	}
	return r.RetryerV2.GetAttemptToken(ctx)
}

// newRetryer does not repeat what another attempt cannot change: six attempts at a wrong endpoint took 39 s.
func newRetryer() sdk.Retryer {
	adaptive := retry.NewAdaptiveMode(func(adaptive *retry.AdaptiveModeOptions) {
		adaptive.StandardOptions = append(adaptive.StandardOptions, func(standard *retry.StandardOptions) {
			standard.MaxAttempts = maxAttempts
			standard.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(nobodyThere)}, standard.Retryables...)
		})
	})
	return retryer{adaptive, newPace()}
}

// nobodyThere says no to another attempt where nobody listens or the name does not exist, and leaves the rest open.
func nobodyThere(err error) sdk.Ternary {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return sdk.FalseTernary
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return sdk.FalseTernary
	}
	return sdk.UnknownTernary
}

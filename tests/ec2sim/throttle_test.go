// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// TestThrottle empties buckets, and looks how many calls pass at once and how many after a second.
func TestThrottle(t *testing.T) {
	tests := []struct {
		name       string
		call       func(context.Context, *ec2.Client) error
		size, rate int
	}{
		{"a describe call with pages", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{MaxResults: aws.Int32(5)})
			return err
		}, 100, 20},
		{"a describe call for everything", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
			return err
		}, 50, 10},
		{"assigning, though each call is refused", func(ctx context.Context, c *ec2.Client) error {
			_, err := c.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String("eni-9"), Ipv4PrefixCount: aws.Int32(1)})
			return err
		}, 100, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, client := start(t, small())
			now := time.Unix(0, 0)
			server.SetClock(func() time.Time { return now })
			server.Throttle()
			passed := func() int {
				for n := 0; ; n++ {
					if got, _ := code(t, tt.call(context.Background(), client)); got == "RequestLimitExceeded" {
						return n
					}
				}
			}
			if n := passed(); n != tt.size {
				t.Errorf("%d calls pass at once, want %d", n, tt.size)
			}
			now = now.Add(time.Second)
			if n := passed(); n != tt.rate {
				t.Errorf("%d calls pass after a second, want %d", n, tt.rate)
			}
			now = now.Add(time.Hour)
			if n := passed(); n != tt.size {
				t.Errorf("%d calls pass after an hour, want %d", n, tt.size)
			}
			if _, err := client.DescribeSubnets(context.Background(), &ec2.DescribeSubnetsInput{}); err != nil {
				t.Errorf("another action has no token either: %v", err)
			}
		})
	}
}

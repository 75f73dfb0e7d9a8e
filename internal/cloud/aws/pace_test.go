// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// one is a cloud of one node.
func one(t *testing.T) (*ec2sim.Server, []v1alpha1.Node, Options) {
	t.Helper()
	inv := v1alpha1.Inventory{
		Subnets: []v1alpha1.Subnet{{ID: "subnet-1", VPCID: "vpc-0"}},
		VPCs:    []v1alpha1.VPC{{ID: "vpc-0"}},
		Nodes: []v1alpha1.Node{{Name: "n", ProviderID: "aws:///eu-central-1a/i-1", InstanceID: "i-1",
			Interfaces: []v1alpha1.Interface{{ID: "eni-1", SubnetID: "subnet-1", MACAddress: "02:00:00:00:00:01"}}}},
	}
	server, err := ec2sim.New(inv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	load := []func(*config.LoadOptions) error{
		config.WithBaseEndpoint(server.URL()),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil),
	}
	return server, inv.Nodes, Options{Region: "eu-central-1", Load: load}
}

// TestPaceKeepsWithinBuckets calls for a minute as often as the pace lets it, and is never refused.
func TestPaceKeepsWithinBuckets(t *testing.T) {
	calls := map[string]func(context.Context, *ec2.Client) error{
		"DescribeVpcs": func(ctx context.Context, c *ec2.Client) error {
			_, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{MaxResults: sdk.Int32(5)})
			return err
		},
		"UnassignPrivateIpAddresses": func(ctx context.Context, c *ec2.Client) error {
			_, err := c.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: sdk.String("eni-9")})
			return err
		},
	}
	for operation, call := range calls {
		t.Run(operation, func(t *testing.T) {
			server, _, _ := one(t)
			client := ec2.New(ec2.Options{Region: "eu-central-1", BaseEndpoint: sdk.String(server.URL()), Retryer: sdk.NopRetryer{},
				Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")})
			began := time.Now()
			now := began
			server.SetClock(func() time.Time { return now })
			server.Throttle()
			limiter := newPace().limiter(operation)
			n := 0
			for ; now.Before(began.Add(time.Minute)); n++ {
				now = now.Add(limiter.ReserveN(now, 1).DelayFrom(now))
				if err := call(t.Context(), client); err != nil && strings.Contains(err.Error(), "RequestLimitExceeded") {
					t.Fatalf("call %d after %s: %v", n, now.Sub(began), err)
				}
			}
			if perSecond, atOnce := share(operation); n < atOnce+int(59*perSecond) {
				t.Errorf("only %d calls in a minute", n)
			}
		})
	}
}

// TestEveryAttemptIsPaced looks which actions a snapshot's attempts were counted for.
func TestEveryAttemptIsPaced(t *testing.T) {
	server, nodes, options := one(t)
	paces := newPace()
	options.Load = append(options.Load, config.WithRetryer(func() sdk.Retryer {
		return retryer{sdk.NopRetryer{}, paces}
	}))
	if _, err := New(options).Snapshot(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(server.Counts())), slices.Sorted(maps.Keys(paces.limiters))); diff != "" {
		t.Errorf("called and paced actions differ (-called +paced):\n%s", diff)
	}
}

// TestOthersEmptiedTheBucket takes a snapshot when another program has just used all of the account's calls. The cloud's
// clock stands until it has refused a call: on a busy machine the bucket would be full again by then.
func TestOthersEmptiedTheBucket(t *testing.T) {
	server, nodes, options := one(t)
	began := time.Now()
	var runs atomic.Bool
	server.SetClock(func() time.Time {
		if runs.Load() {
			return time.Now()
		}
		return began
	})
	server.Throttle()
	server.Spend("DescribeNetworkInterfaces")
	isRefused := func(c ec2sim.Call) bool { return c.Error == "RequestLimitExceeded" }
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil && !slices.ContainsFunc(server.Calls(), isRefused) {
			time.Sleep(time.Millisecond)
		}
		runs.Store(true)
	}()
	_, err := New(options).Snapshot(ctx, nodes)
	cancel()
	if err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(server.Calls(), isRefused) {
		t.Error("no call was refused: the test shows nothing")
	}
}

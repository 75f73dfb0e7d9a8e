// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// Options of a Provider; the zero value is useful.
type Options struct {
	// Region to ask. Empty: that of the environment or the AWS config file, else that which the nodes name.
	Region string
	// RoleARN of a role to take with the credentials that are found; empty for none. Nodes of another account need it.
	RoleARN string
	// Load holds further options of the SDK's configuration, such as a profile or a retryer.
	Load []func(*config.LoadOptions) error
}

// Provider observes EC2. It may be used by several goroutines, and should be kept: it remembers credentials and how
// much AWS lets it ask.
type Provider struct {
	options Options

	mu sync.Mutex
	// connections by the region that the nodes name.
	connections map[string]*connection
	// last region that nodes of a snapshot named.
	last string
}

var _ cloud.Provider = (*Provider)(nil)

// connection is a client and where it leads.
type connection struct {
	api         API
	credentials sdk.CredentialsProvider
	place       place
}

// New makes a provider. It does no I/O: credentials and region are looked for by Snapshot.
func New(options Options) *Provider {
	return &Provider{options: options, connections: map[string]*connection{}}
}

// Snapshot implements cloud.Provider.
func (p *Provider) Snapshot(ctx context.Context, nodes []v1alpha1.Node) (cloud.Snapshot, error) {
	if len(nodes) == 0 {
		return cloud.Snapshot{}, nil
	}
	region := nodeRegion(nodes)
	conn, err := p.connect(ctx, region)
	if err != nil {
		return cloud.Snapshot{}, err
	}
	// Asked for ahead of any call, so that a problem with credentials is told from a problem with EC2.
	if _, err := conn.credentials.Retrieve(ctx); err != nil {
		return cloud.Snapshot{}, explainCredentials(ctx, err, conn.place)
	}
	snap, err := discover(ctx, ec2Reader(*conn), nodes)
	if err != nil {
		return cloud.Snapshot{}, ec2Reader(*conn).nameAll(ctx, err)
	}
	if len(unmatched(nodes, snap.Instances)) == len(nodes) {
		return cloud.Snapshot{}, notHere(len(nodes), conn.place, region)
	}
	return snap, nil
}

// notHere explains that no node is an instance. An empty snapshot would say that everything is gone, where most likely
// the wrong place was asked.
func notHere(nodes int, at place, named string) *cloud.Error {
	if named != "" && named != at.region {
		return &cloud.Error{
			Reason:  cloud.WrongRegion,
			Message: fmt.Sprintf("none of %d nodes is an instance in region %s, but the nodes name region %s", nodes, at.region, named),
			Remedy:  fmt.Sprintf("give --region %s or set AWS_REGION=%s", named, named),
		}
	}
	return &cloud.Error{
		Reason:  cloud.NoInstances,
		Message: fmt.Sprintf("none of %d nodes is an instance in region %s of this AWS account, by providerID or by address", nodes, at.region),
		Remedy: "see with `aws sts get-caller-identity` which account this is; choose another by AWS_PROFILE, or the region by " +
			"--region; nodes without providerID need an address that only one instance has",
	}
}

// connect loads the configuration once for each region that nodes name.
func (p *Provider) connect(ctx context.Context, fallback string) (*connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn := p.connections[fallback]; conn != nil {
		return conn, nil
	}
	load := append([]func(*config.LoadOptions) error{
		config.WithRegion(p.options.Region),
		config.WithDefaultRegion(fallback),
		config.WithAppID("kubectl-underlay"),
		config.WithHTTPClient(httpClient()),
		config.WithRetryer(newRetryer),
	}, p.options.Load...)
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, explainConfig(ctx, err)
	}
	if cfg.Region == "" {
		return nil, &cloud.Error{
			Reason:  cloud.NoRegion,
			Message: "no AWS region is known: no flag, environment variable or AWS config file names one, nor do the nodes' labels and providerIDs",
			Remedy:  "give --region REGION or set AWS_REGION",
		}
	}
	if !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`).MatchString(cfg.Region) {
		return nil, &cloud.Error{
			Reason:  cloud.WrongRegion,
			Message: fmt.Sprintf("%q is not the name of an AWS region", cfg.Region),
			Remedy:  "give one such as eu-central-1 by --region or AWS_REGION",
		}
	}
	if p.options.RoleARN != "" {
		if !arn.IsARN(p.options.RoleARN) {
			return nil, &cloud.Error{
				Reason:  cloud.InvalidCredentials,
				Message: fmt.Sprintf("%q is not the ARN of a role", p.options.RoleARN),
				Remedy:  "give one such as arn:aws:iam::123456789012:role/underlay by --role-arn",
			}
		}
		cfg.Credentials = sdk.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), p.options.RoleARN,
			func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "kubectl-underlay" }))
	}
	client := ec2.NewFromConfig(cfg)
	conn := &connection{
		api:         client,
		credentials: cfg.Credentials,
		place:       place{region: cfg.Region, service: "EC2", endpoint: sdk.ToString(client.Options().BaseEndpoint)},
	}
	p.connections[fallback] = conn
	p.last = fallback
	return conn, nil
}

// httpClient gives up on what does not answer sooner than the SDK's own (30 s to connect, no limit to answer), since a
// person waits. A page of 1,000 interfaces takes EC2 a few seconds.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = 5 * time.Second }).
		WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = 30 * time.Second })
}

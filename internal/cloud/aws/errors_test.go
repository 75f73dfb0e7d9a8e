// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// update rewrites the golden file: go test ./internal/cloud/aws -update
var update = flag.Bool("update", false, "rewrite the golden files")

// failure is a way in which observing fails. The walkthrough's nodes are asked for.
type failure struct {
	name   string
	reason cloud.Reason
	// cause breaks the environment, the simulator or the options.
	cause func(t *testing.T, server *ec2sim.Server, options *aws.Options)
}

func failures() []failure {
	inject := func(f ec2sim.Fault) func(*testing.T, *ec2sim.Server, *aws.Options) {
		return func(_ *testing.T, server *ec2sim.Server, _ *aws.Options) { server.Inject(f) }
	}
	environment := func(variables map[string]string) func(*testing.T, *ec2sim.Server, *aws.Options) {
		return func(t *testing.T, _ *ec2sim.Server, _ *aws.Options) {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			for name, value := range variables {
				t.Setenv(name, value)
			}
		}
	}
	configFile := func(text string) func(*testing.T, *ec2sim.Server, *aws.Options) {
		return func(t *testing.T, _ *ec2sim.Server, _ *aws.Options) {
			home := t.TempDir()
			write(t, filepath.Join(home, "config"), text)
			environment(map[string]string{"HOME": home, "AWS_CONFIG_FILE": filepath.Join(home, "config"), "AWS_PROFILE": "work"})(t, nil, nil)
		}
	}
	return []failure{
		{"no credentials", cloud.NoCredentials, environment(nil)},
		{"no credentials, on an instance without role", cloud.NoCredentials, func(t *testing.T, _ *ec2sim.Server, _ *aws.Options) {
			metadata := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(metadata.Close)
			environment(map[string]string{"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL})(t, nil, nil)
		}},
		{"token of a web identity missing", cloud.InvalidCredentials, environment(map[string]string{
			"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/net", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token"})},
		{"unknown profile", cloud.InvalidCredentials, environment(map[string]string{"AWS_PROFILE": "nobody"})},
		{"broken config file", cloud.InvalidCredentials, configFile("[profile work]\nmax_attempts = many\n")},
		{"credential process fails", cloud.InvalidCredentials, configFile("[profile work]\ncredential_process = false\n")},
		{"SSO session expired", cloud.ExpiredCredentials, expiredSession},
		{"role may not be assumed", cloud.Unauthorized, deniedRole},
		{"credentials expired", cloud.ExpiredCredentials, func(_ *testing.T, s *ec2sim.Server, _ *aws.Options) { s.SetCredentials(ec2sim.Expired) }},
		{"credentials unknown", cloud.InvalidCredentials, func(_ *testing.T, s *ec2sim.Server, _ *aws.Options) { s.SetCredentials(ec2sim.Unknown) }},
		{"one permission missing", cloud.Unauthorized, func(_ *testing.T, s *ec2sim.Server, _ *aws.Options) { s.Deny("DescribeNetworkInterfaces") }},
		{"two permissions missing", cloud.Unauthorized, func(_ *testing.T, s *ec2sim.Server, _ *aws.Options) { s.Deny("DescribeVpcs", "DescribeSubnets") }},
		{"all permissions missing", cloud.Unauthorized, func(_ *testing.T, s *ec2sim.Server, _ *aws.Options) {
			s.Deny("DescribeInstances", "DescribeInstanceTypes", "DescribeNetworkInterfaces", "DescribeSubnets", "DescribeVpcs")
		}},
		{"explicit deny", cloud.Unauthorized, inject(ec2sim.Fault{Action: "DescribeVpcs", Error: &ec2sim.Error{Status: 403, Code: "UnauthorizedOperation",
			Message: "You are not authorized to perform this operation. User: arn:aws:sts::123456789012:assumed-role/dev/me is not authorized to perform: " +
				"ec2:DescribeVpcs with an explicit deny in a service control policy"}})},
		{"terse refusal", cloud.Unauthorized, inject(ec2sim.Fault{Error: &ec2sim.Error{Status: 403, Code: "UnauthorizedOperation",
			Message: "You are not authorized to perform this operation. Encoded authorization failure message: 3xAmpLe"}})},
		{"throttled", cloud.Throttled, inject(ec2sim.Fault{Error: ec2sim.RequestLimitExceeded()})},
		{"throttled, with the older code", cloud.Throttled, inject(ec2sim.Fault{Error: &ec2sim.Error{Status: 503, Code: "Client.RequestLimitExceeded", Message: "Request limit exceeded."}})},
		{"AWS fails", cloud.Other, inject(ec2sim.Fault{Action: "DescribeSubnets", Error: ec2sim.InternalError()})},
		{"a refusal that nobody foresaw", cloud.Other, inject(ec2sim.Fault{Error: &ec2sim.Error{Status: 400, Code: "Blocked", Message: "This account is\nblocked."}})},
		{"region not enabled", cloud.WrongRegion, inject(ec2sim.Fault{Error: ec2sim.OptInRequired()})},
		{"not EC2", cloud.WrongEndpoint, inject(ec2sim.Fault{Status: 404, Body: "<html><body>no such page</body></html>"})},
		{"not EC2, not even XML", cloud.WrongEndpoint, inject(ec2sim.Fault{Status: 502, Body: "bad gateway"})},
		{"connection refused", cloud.Unreachable, func(_ *testing.T, s *ec2sim.Server, _ *aws.Options) { s.Close() }},
		{"connection breaks", cloud.Unreachable, inject(ec2sim.Fault{HangUp: true})},
		{"no answer", cloud.Unreachable, func(_ *testing.T, s *ec2sim.Server, o *aws.Options) {
			s.Inject(ec2sim.Fault{Delay: time.Hour})
			o.Load = append(o.Load, config.WithHTTPClient(&http.Client{Timeout: 20 * time.Millisecond}))
		}},
		{"region is no region", cloud.WrongRegion, func(_ *testing.T, _ *ec2sim.Server, o *aws.Options) { o.Region = "Frankfurt" }},
		{"nodes are in another region", cloud.WrongRegion, func(t *testing.T, s *ec2sim.Server, o *aws.Options) { empty(t, s); o.Region = "us-east-1" }},
		{"nodes are in another account", cloud.NoInstances, func(t *testing.T, s *ec2sim.Server, _ *aws.Options) { empty(t, s) }},
	}
}

// empty takes all instances out of the account.
func empty(t *testing.T, server *ec2sim.Server) {
	err := server.Update(func(w *ec2sim.World) error {
		for id := range w.Instances {
			w.RemoveInstance(id)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expiredSession has a profile with SSO, whose session ended long ago. The file's name is the SHA-1 of the start URL.
func expiredSession(t *testing.T, _ *ec2sim.Server, _ *aws.Options) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".aws/sso/cache/bbbbf962e4811fc6b79fc75e9d174bfa327501b5.json"), `{"accessToken": "t", "expiresAt": "2020-01-01T00:00:00Z"}`)
	write(t, filepath.Join(home, "config"), "[profile work]\nsso_start_url = https://sso.example\nsso_region = eu-central-1\n"+
		"sso_account_id = 123456789012\nsso_role_name = dev\nregion = eu-central-1\n")
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "config"))
	t.Setenv("AWS_PROFILE", "work")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

// deniedRole has a profile with a role, which AWS does not let it take.
func deniedRole(t *testing.T, _ *ec2sim.Server, _ *aws.Options) {
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>`+
			`User: arn:aws:iam::123456789012:user/me is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/net</Message></Error></ErrorResponse>`)
	}))
	t.Cleanup(sts.Close)
	file := filepath.Join(t.TempDir(), "config")
	write(t, file, "[profile base]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = x\n"+
		"[profile work]\nrole_arn = arn:aws:iam::123456789012:role/net\nsource_profile = base\nregion = eu-central-1\n")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_PROFILE", "work")
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
}

// TestErrors compares what users read with testdata/errors.golden.
func TestErrors(t *testing.T) {
	var texts strings.Builder
	for _, tt := range failures() {
		t.Run(tt.name, func(t *testing.T) {
			inv := example(t, "walkthrough.yaml")
			server := simulate(t, inv)
			options := atOnce()
			tt.cause(t, server, &options)
			_, err := aws.New(options).Snapshot(context.Background(), asKubernetes(inv.Nodes))
			failed, ok := errors.AsType[*cloud.Error](err)
			if !ok {
				t.Fatalf("not an error for users: %v", err)
			}
			if failed.Reason != tt.reason {
				t.Errorf("reason %s, want %s: %v", failed.Reason, tt.reason, failed.Cause)
			}
			text := strings.ReplaceAll(failed.Error(), server.URL(), "http://ENDPOINT")
			text = regexp.MustCompile(`request [0-9a-f-]{36}`).ReplaceAllString(text, "request ID")
			if strings.Contains(text, "nobody-shall-see") {
				t.Error("the text holds the secret key")
			}
			fmt.Fprintf(&texts, "# %s (%s)\n%s\n\n", tt.name, failed.Reason, text)
		})
	}
	goldenfile.Compare(t, "testdata/errors.golden", texts.String(), *update)
}

// TestNoRegion has nodes that say nothing of theirs.
func TestNoRegion(t *testing.T) {
	inv := example(t, "walkthrough.yaml")
	simulate(t, inv)
	nodes := anonymous(asKubernetes(inv.Nodes))
	for i := range nodes {
		nodes[i].Labels = nil
	}
	_, err := aws.New(aws.Options{}).Snapshot(context.Background(), nodes)
	const want = "no AWS region is known: no flag, environment variable or AWS config file names one, nor do the nodes' labels and providerIDs; " +
		"give --region REGION or set AWS_REGION"
	if failed, ok := errors.AsType[*cloud.Error](err); !ok || failed.Reason != cloud.NoRegion || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

// TestCancelled keeps the cause for those who ask for it.
func TestCancelled(t *testing.T) {
	inv := example(t, "walkthrough.yaml")
	server := simulate(t, inv)
	ctx, cancel := context.WithCancel(context.Background())
	server.Inject(ec2sim.Fault{Delay: time.Hour, Reached: cancel})
	_, err := aws.New(aws.Options{}).Snapshot(ctx, asKubernetes(inv.Nodes))
	if !errors.Is(err, context.Canceled) || err.Error() != "ec2:DescribeNetworkInterfaces: cancelled" {
		t.Errorf("got %v", err)
	}
}

// TestPassingFailures are overcome.
func TestPassingFailures(t *testing.T) {
	for name, fault := range map[string]ec2sim.Fault{
		"throttled":         {Times: 2, Error: ec2sim.RequestLimitExceeded()},
		"AWS fails":         {Times: 2, Error: ec2sim.InternalError()},
		"connection breaks": {Times: 2, HangUp: true},
	} {
		t.Run(name, func(t *testing.T) {
			inv := example(t, "walkthrough.yaml")
			server := simulate(t, inv)
			server.Inject(fault)
			nodes := asKubernetes(inv.Nodes)
			snap, err := aws.New(atOnce()).Snapshot(context.Background(), nodes)
			if err != nil {
				t.Fatal(err)
			}
			if got := cloud.Join(nodes, snap).Nodes; got[0].InstanceID == "" || got[1].InstanceID == "" {
				t.Errorf("got %v", got)
			}
		})
	}
}

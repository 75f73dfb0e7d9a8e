// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"context"
	"errors"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestRole takes a role, and asks EC2 with the role's credentials.
func TestRole(t *testing.T) {
	const role = "arn:aws:iam::210987654321:role/underlay"
	inv := example(t, "walkthrough.yaml")
	server := simulate(t, inv)
	sts := ec2sim.NewSTS("ASIAROLE")
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	provider := aws.New(aws.Options{RoleARN: role})
	for range 2 {
		if _, err := provider.Snapshot(t.Context(), asKubernetes(inv.Nodes)); err != nil {
			t.Fatal(err)
		}
	}
	if asked := sts.Asked(); len(asked) != 1 || asked[0] != "AssumeRole "+role {
		t.Errorf("asked for %q, want the role once", asked)
	}
	for _, call := range server.Calls() {
		if call.AccessKeyID != "ASIAROLE" {
			t.Errorf("%s was called with %s", call.Action, call.AccessKeyID)
		}
	}
}

// TestNoRole gives what is no role's ARN.
func TestNoRole(t *testing.T) {
	inv := example(t, "walkthrough.yaml")
	simulate(t, inv)
	_, err := aws.New(aws.Options{RoleARN: "underlay"}).Snapshot(context.Background(), asKubernetes(inv.Nodes))
	var e *cloud.Error
	if !errors.As(err, &e) || e.Reason != cloud.InvalidCredentials {
		t.Errorf("got %v", err)
	}
}

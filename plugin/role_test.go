// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"slices"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestRoleARN asks EC2 as the role of another account.
func TestRoleARN(t *testing.T) {
	const role = "arn:aws:iam::210987654321:role/underlay"
	s := newStage(t)
	sts := ec2sim.NewSTS("ASIAROLE")
	t.Cleanup(sts.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	contains(t, must(t, 0, "inspect --role-arn "+role).stdout, "eni-0c4e1f5a7b9d20002")
	if asked := sts.Asked(); !slices.Equal(asked, []string{"AssumeRole " + role}) {
		t.Errorf("asked for %q", asked)
	}
	for _, call := range s.cloud.Calls() {
		if call.AccessKeyID != "ASIAROLE" {
			t.Errorf("%s was called with %s", call.Action, call.AccessKeyID)
		}
	}
	contains(t, must(t, 2, "inspect --role-arn underlay").stderr, "by --role-arn")
}

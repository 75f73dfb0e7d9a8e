// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"testing"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// ForTest starts a server that ends with the test, and leads the SDK there as a user would: by the environment.
func ForTest(t testing.TB, inv v1alpha1.Inventory) *Server {
	t.Helper()
	s, err := New(inv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return s
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
)

// TestInstances looks two nodes of many up: it says of them what a snapshot of all says, in a few calls.
func TestInstances(t *testing.T) {
	for name, change := range map[string]func([]v1alpha1.Node) []v1alpha1.Node{
		"by providerID": asKubernetes,
		"by address":    anonymous,
	} {
		t.Run(name, func(t *testing.T) {
			inv := fleet(3000)
			server := simulate(t, inv)
			t.Setenv("AWS_REGION", "eu-central-1")
			nodes := change(asKubernetes(inv.Nodes))
			provider := aws.New(aws.Options{})
			all, err := provider.Snapshot(t.Context(), nodes)
			if err != nil {
				t.Fatal(err)
			}
			gone := v1alpha1.Node{Name: "gone", ProviderID: "aws:///eu-central-1a/i-gone"}
			server.ForgetCalls()
			got, err := provider.Instances(t.Context(), []v1alpha1.Node{nodes[7], gone, nodes[2999]})
			if err != nil {
				t.Fatal(err)
			}
			if _, calls := distinct(server.Calls()); calls > 6 {
				t.Errorf("%d calls: %v", calls, server.Counts())
			}
			want := map[string]cloud.Instance{}
			for _, i := range all.Instances {
				want[i.ID] = i
			}
			if len(got.Instances) != 2 {
				t.Fatalf("%d instances: %+v", len(got.Instances), got.Instances)
			}
			for _, i := range got.Instances {
				if d := cmp.Diff(want[i.ID], i, options()); d != "" {
					t.Errorf("%s (-snapshot +looked up):\n%s", i.ID, d)
				}
			}
			if len(got.Subnets) != 2 || len(got.VPCs) != 1 || len(got.InstanceTypes) == 0 {
				t.Errorf("%d subnets, %d VPCs, %d types", len(got.Subnets), len(got.VPCs), len(got.InstanceTypes))
			}
		})
	}
}

func TestNoInstancesYet(t *testing.T) {
	simulate(t, fleet(3))
	t.Setenv("AWS_REGION", "eu-central-1")
	got, err := aws.New(aws.Options{}).Instances(t.Context(), []v1alpha1.Node{{Name: "new", ProviderID: "aws:///eu-central-1a/i-new"}})
	if err != nil || len(got.Instances) > 0 {
		t.Errorf("%+v, %v; want nothing, since EC2 may show it later", got, err)
	}
}

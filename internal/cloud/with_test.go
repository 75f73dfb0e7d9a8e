// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

func TestWith(t *testing.T) {
	snapshot := cloud.Snapshot{
		Instances: []cloud.Instance{{ID: "i-1", Type: "old"}, {ID: "i-3"}},
		Subnets:   []v1alpha1.Subnet{{ID: "subnet-1"}},
		VPCs:      []v1alpha1.VPC{{ID: "vpc-2"}},
	}
	more := cloud.Snapshot{
		Instances:     []cloud.Instance{{ID: "i-1", Type: "new"}, {ID: "i-2"}},
		Subnets:       []v1alpha1.Subnet{{ID: "subnet-1", Zone: "b"}, {ID: "subnet-2"}},
		VPCs:          []v1alpha1.VPC{{ID: "vpc-1"}},
		InstanceTypes: []v1alpha1.InstanceType{{Name: "m5.large"}},
	}
	want := cloud.Snapshot{
		Instances:     []cloud.Instance{{ID: "i-1", Type: "old"}, {ID: "i-2"}, {ID: "i-3"}},
		Subnets:       []v1alpha1.Subnet{{ID: "subnet-1"}, {ID: "subnet-2"}},
		VPCs:          []v1alpha1.VPC{{ID: "vpc-1"}, {ID: "vpc-2"}},
		InstanceTypes: []v1alpha1.InstanceType{{Name: "m5.large"}},
	}
	compare := cmp.Comparer(func(a, b v1alpha1.Subnet) bool { return a.ID == b.ID && a.Zone == b.Zone })
	if d := cmp.Diff(want, snapshot.With(more), compare); d != "" {
		t.Error(d)
	}
	if len(snapshot.Instances) != 2 || snapshot.Instances[1].ID != "i-3" {
		t.Errorf("the snapshot was changed: %+v", snapshot.Instances)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package cloud

import (
	"cmp"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// With is the snapshot with what it lacks of another, which Provider.Instances gave. What it has stays as it was: it was
// seen at one time. Neither is changed.
func (s Snapshot) With(other Snapshot) Snapshot {
	return Snapshot{
		Instances:     union(s.Instances, other.Instances, func(i Instance) string { return i.ID }),
		Subnets:       union(s.Subnets, other.Subnets, func(s v1alpha1.Subnet) string { return s.ID }),
		VPCs:          union(s.VPCs, other.VPCs, func(v v1alpha1.VPC) string { return v.ID }),
		InstanceTypes: union(s.InstanceTypes, other.InstanceTypes, func(t v1alpha1.InstanceType) string { return t.Name }),
	}
}

// union adds to a what of b it lacks; both are sorted by id, as is the result.
func union[T any](a, b []T, id func(T) string) []T {
	out := slices.Clone(a)
	for _, item := range b {
		at, found := slices.BinarySearchFunc(out, id(item), func(have T, want string) int { return cmp.Compare(id(have), want) })
		if !found {
			out = slices.Insert(out, at, item)
		}
	}
	return out
}

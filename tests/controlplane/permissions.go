// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/manifests"
)

// Permissions are what an installation lets operator and agents do, and the policy that narrows it: with them a test can
// impersonate either.
func Permissions() []client.Object {
	kinds := []string{"Namespace", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	all, err := manifests.Install(manifests.Options{})
	if err != nil {
		panic(err) // they are embedded, and tested
	}
	var list []client.Object
	for _, o := range all {
		if slices.Contains(kinds, o.GetKind()) {
			list = append(list, o)
		}
	}
	return list
}

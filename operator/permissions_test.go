// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package operator_test

import (
	"fmt"
	"os"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const operatorUser = "underlay-operator"

// permissions are the roles that the markers in doc.go describe, bound to the operator's user: the tests run with them
// and would fail with fewer.
func permissions() []client.Object {
	source, err := os.ReadFile("doc.go")
	if err != nil {
		panic(err)
	}
	rules := map[string][]rbacv1.PolicyRule{} // by namespace, empty for everywhere
	for line := range strings.SplitSeq(string(source), "\n") {
		marker, found := strings.CutPrefix(line, "// +kubebuilder:rbac:")
		if !found {
			continue
		}
		fields := map[string][]string{}
		for field := range strings.SplitSeq(marker, ",") {
			key, values, _ := strings.Cut(field, "=")
			fields[key] = strings.Split(strings.ReplaceAll(values, `"`, ""), ";")
		}
		namespace := strings.Join(fields["namespace"], "")
		rules[namespace] = append(rules[namespace], rbacv1.PolicyRule{APIGroups: fields["groups"], Resources: fields["resources"],
			ResourceNames: fields["resourceNames"], Verbs: fields["verbs"]})
	}
	subject := []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: operatorUser}}
	var everywhere, namespaced []client.Object
	for namespace, list := range rules {
		m := metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", operatorUser, len(list)), Namespace: namespace}
		if namespace == "" {
			ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: m.Name}
			everywhere = append(everywhere, &rbacv1.ClusterRole{ObjectMeta: m, Rules: list},
				&rbacv1.ClusterRoleBinding{ObjectMeta: m, RoleRef: ref, Subjects: subject})
			continue
		}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: m.Name}
		namespaced = append(namespaced, &rbacv1.Role{ObjectMeta: m, Rules: list},
			&rbacv1.RoleBinding{ObjectMeta: m, RoleRef: ref, Subjects: subject})
	}
	return append(everywhere, namespaced...)
}

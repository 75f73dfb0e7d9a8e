// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// Objects are the plan as Kubernetes takes it: networks, pools, then attachments, each by name, without status. Equal
// plans give byte-identical objects.
func (p Plan) Objects() []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, 0, len(p.Networks)+len(p.Pools)+len(p.Attachments))
	for i := range p.Networks {
		out = append(out, Object(&p.Networks[i]))
	}
	for i := range p.Pools {
		out = append(out, Object(&p.Pools[i]))
	}
	for _, a := range p.Attachments {
		out = append(out, a.Object())
	}
	sortObjects(out)
	return out
}

// Object keeps of a network or pool what a user would write: of the metadata name, labels, annotations and owners, and
// the spec.
func Object(typed any) *unstructured.Unstructured {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil { // the API's types have nothing that JSON cannot carry
		panic(fmt.Sprintf("plan: cannot convert %T: %v", typed, err))
	}
	metadata, _ := content["metadata"].(map[string]any)
	maps.DeleteFunc(metadata, func(key string, _ any) bool {
		return !slices.Contains([]string{"name", "labels", "annotations", "ownerReferences"}, key)
	})
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		// kubectl's own record of the object, which would be applied along with it.
		if delete(annotations, "kubectl.kubernetes.io/last-applied-configuration"); len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	delete(content, "status")
	return &unstructured.Unstructured{Object: content}
}

// Object is the attachment as Kubernetes takes it.
func (a Attachment) Object() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "k8s.cni.cncf.io/v1",
		"kind":       "NetworkAttachmentDefinition",
		"metadata": map[string]any{
			"namespace": a.Namespace,
			"name":      a.Name,
			"labels":    map[string]any{LabelManagedBy: ManagedBy},
		},
		"spec": map[string]any{"config": a.Config},
	}}
}

// sortObjects orders by kind, namespace and name, in place.
func sortObjects(objects []*unstructured.Unstructured) {
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(kindRank(a.GetKind()), kindRank(b.GetKind())), cmp.Compare(a.GetAPIVersion(), b.GetAPIVersion()),
			cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
}

// kindRank puts kinds before their objects, intent before what is derived from it, and pools before what makes pods ask
// for them; Spiderpool takes pools only for configurations that exist.
func kindRank(kind string) int {
	order := [...]string{"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Deployment", "DaemonSet", "UnderlayNetwork", "UnderlayPool", "NetworkAttachmentDefinition",
		"SpiderMultusConfig", "SpiderIPPool"}
	if i := slices.Index(order[:], kind); i >= 0 {
		return i
	}
	return len(order)
}

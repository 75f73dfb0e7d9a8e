// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// NodesOf gives the Kubernetes nodes of an inventory, as their kubelets would have registered them.
func NodesOf(inventory v1alpha1.Inventory) []client.Object {
	nodes := make([]client.Object, 0, len(inventory.Nodes))
	for _, n := range inventory.Nodes {
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels},
			Spec:       corev1.NodeSpec{ProviderID: n.ProviderID},
			Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KernelVersion: n.Kernel}},
		}
		if n.MaxPods > 0 {
			node.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(int64(n.MaxPods), resource.DecimalSI)}
		}
		for _, ip := range n.InternalIPs {
			node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
		}
		nodes = append(nodes, node)
	}
	return nodes
}

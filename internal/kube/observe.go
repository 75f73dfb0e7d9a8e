// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/check"
)

// Observation is what a cluster holds of interest.
type Observation struct {
	// Nodes with what Kubernetes knows of them, by name; the cloud's part is empty.
	Nodes []v1alpha1.Node
	// WithoutCNI names the nodes whose kubelet waits for a CNI plugin; Ready counts those that are ready.
	WithoutCNI []string
	Ready      int
	// Reports of the nodes' agents, by name.
	Reports []v1alpha1.UnderlayNode
	// Networks and Pools that exist, by name.
	Networks []v1alpha1.UnderlayNetwork
	Pools    []v1alpha1.UnderlayPool
	// Install is what runs for us; nil where nothing does.
	Install *check.Install
	// OtherIPAM found running.
	OtherIPAM []v1alpha1.OtherIPAM
	// Multus says that the cluster serves NetworkAttachmentDefinitions.
	Multus bool
	// Version of the API server, such as v1.37.2.
	Version string
	// PodCIDRs of all nodes.
	PodCIDRs []netip.Prefix
	// ServiceCIDRs, where ReadServiceCIDRs was asked for them.
	ServiceCIDRs []netip.Prefix
}

// Observe reads the cluster.
func (c *Cluster) Observe(ctx context.Context) (Observation, error) {
	var seen Observation
	var err error
	if seen.Version, err = c.Version(); err != nil {
		return Observation{}, err
	}
	for _, read := range []func(context.Context, *Observation) error{
		c.readNodes, c.readOwn, c.readInstall, c.readOtherIPAM, c.readMultus,
	} {
		if err := read(ctx, &seen); err != nil {
			return Observation{}, err
		}
	}
	return seen, nil
}

func (c *Cluster) readNodes(ctx context.Context, seen *Observation) error {
	var list corev1.NodeList
	if err := c.client.List(ctx, &list); err != nil {
		return fmt.Errorf("list nodes: %w", explain(c.host, err))
	}
	var podCIDRs []string
	for i := range list.Items {
		seen.Nodes = append(seen.Nodes, Node(&list.Items[i]))
		podCIDRs = append(podCIDRs, list.Items[i].Spec.PodCIDRs...)
		switch ready, noCNI := readiness(&list.Items[i]); {
		case ready:
			seen.Ready++
		case noCNI:
			seen.WithoutCNI = append(seen.WithoutCNI, list.Items[i].Name)
		}
	}
	slices.SortFunc(seen.Nodes, func(a, b v1alpha1.Node) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(seen.WithoutCNI)
	seen.PodCIDRs = prefixes(podCIDRs)
	return nil
}

// readiness says whether a node is ready and, if not, whether that is for want of a CNI plugin. The words are the
// kubelet's; containerd and CRI-O add different ones of their own.
func readiness(n *corev1.Node) (ready, noCNI bool) {
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		message := strings.ToLower(c.Message)
		return c.Status == corev1.ConditionTrue,
			strings.Contains(message, "reason:networkpluginnotready") || strings.Contains(message, "cni plugin not initialized")
	}
	return false, false
}

// Node is what Kubernetes knows of a node, as an inventory has it.
func Node(n *corev1.Node) v1alpha1.Node {
	out := v1alpha1.Node{
		Name:       n.Name,
		UID:        n.UID,
		Labels:     n.Labels,
		ProviderID: n.Spec.ProviderID,
		Kernel:     n.Status.NodeInfo.KernelVersion,
		MaxPods:    int32(min(n.Status.Allocatable.Pods().Value(), math.MaxInt32)),
	}
	for _, address := range n.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(address.Address); err == nil {
			out.InternalIPs = append(out.InternalIPs, ip)
		}
	}
	return out
}

// readOwn lists our own resources; a cluster that does not serve them has none.
func (c *Cluster) readOwn(ctx context.Context, seen *Observation) error {
	var networks v1alpha1.UnderlayNetworkList
	var pools v1alpha1.UnderlayPoolList
	if err := c.listServed(ctx, "UnderlayNetwork", &networks); err != nil {
		return err
	}
	if err := c.listServed(ctx, "UnderlayPool", &pools); err != nil {
		return err
	}
	seen.Networks, seen.Pools = networks.Items, pools.Items
	var err error
	seen.Reports, err = c.Reports(ctx)
	return err
}

// Reports lists what the nodes' agents saw, by name; a cluster without agents has none.
func (c *Cluster) Reports(ctx context.Context) ([]v1alpha1.UnderlayNode, error) {
	var nodes v1alpha1.UnderlayNodeList
	err := c.listServed(ctx, "UnderlayNode", &nodes)
	return nodes.Items, err
}

// listServed lists a kind of ours, and nothing where the cluster does not serve it.
func (c *Cluster) listServed(ctx context.Context, kind string, list client.ObjectList, options ...client.ListOption) error {
	gvk := v1alpha1.GroupVersion().WithKind(kind)
	served, err := c.serves(gvk)
	if err != nil {
		return err
	}
	if !served {
		return c.refuseNewer(gvk.GroupKind())
	}
	if err := c.client.List(ctx, list, options...); err != nil {
		return fmt.Errorf("list %s: %w", kind, explain(c.host, err))
	}
	return nil
}

func (c *Cluster) readOtherIPAM(ctx context.Context, seen *Observation) (err error) {
	if seen.OtherIPAM, err = OtherIPAM(ctx, c.client); err != nil {
		return explain(c.host, err)
	}
	return nil
}

// OtherIPAM looks for aws-node and for Cilium in ENI mode, by the names that their installers give them.
func OtherIPAM(ctx context.Context, reader client.Reader) ([]v1alpha1.OtherIPAM, error) {
	var found []v1alpha1.OtherIPAM
	awsNode := &metav1.PartialObjectMetadata{}
	awsNode.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"})
	switch err := reader.Get(ctx, types.NamespacedName{Namespace: "kube-system", Name: "aws-node"}, awsNode); {
	case err == nil:
		found = append(found, v1alpha1.AWSVPCCNI)
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("look for aws-node: %w", err)
	}
	var cilium corev1.ConfigMap
	switch err := reader.Get(ctx, types.NamespacedName{Namespace: "kube-system", Name: "cilium-config"}, &cilium); {
	case err == nil && cilium.Data["ipam"] == "eni":
		found = append(found, v1alpha1.CiliumENI)
	case err != nil && !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("look for cilium: %w", err)
	}
	return found, nil
}

func (c *Cluster) readMultus(_ context.Context, seen *Observation) error {
	served, err := c.serves(schema.GroupVersionKind{
		Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition",
	})
	seen.Multus = served
	return err
}

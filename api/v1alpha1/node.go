// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UnderlayNodeStatus is what a node's agent saw, written at most every five seconds.
type UnderlayNodeStatus struct {
	// kernelVersion as uname prints it.
	// +optional
	KernelVersion string `json:"kernelVersion,omitempty"`

	// bootID of the running boot.
	// +optional
	BootID string `json:"bootID,omitempty"`

	// agentVersion of the agent that wrote this.
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`

	// links are the node's physical network links.
	// +listType=atomic
	// +optional
	Links []NodeLink `json:"links,omitempty"`

	// host is the machine beside its links.
	// +optional
	Host *NodeHost `json:"host,omitempty"`

	// pools as the agent counts them.
	// +listType=map
	// +listMapKey=name
	// +optional
	Pools []NodePool `json:"pools,omitempty"`

	// conditions: Ready and others.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// NodeLink is a physical network link.
type NodeLink struct {
	// name such as ens5.
	Name string `json:"name"`
	// macAddress by which the cloud's interface is found.
	MACAddress string `json:"macAddress"`
	// mtu in bytes.
	MTU int32 `json:"mtu"`
	// up: the link is administratively up.
	Up bool `json:"up"`
	// ipvlan: the link can carry ipvlan children (no macvlan, bridge or other mode is in the way).
	IPVlan bool `json:"ipvlan"`
}

// NodeHost is what the agent saw of its machine that pods' traffic depends on.
type NodeHost struct {
	// addresses that the machine's own links carry, link-local ones aside.
	// +listType=atomic
	// +kubebuilder:validation:items:Format=ip
	// +optional
	Addresses []string `json:"addresses,omitempty"`
	// missingModules of the kernel, which pods need or may need, and which it does not find.
	// +listType=atomic
	// +optional
	MissingModules []string `json:"missingModules,omitempty"`
	// kubeProxyMode such as nftables, iptables or ipvs; empty where no kube-proxy answers.
	// +optional
	KubeProxyMode string `json:"kubeProxyMode,omitempty"`
	// foreignCNIConfiguration is the file that runtimes take before 05-underlay.conflist, Multus's aside.
	// +optional
	ForeignCNIConfiguration string `json:"foreignCNIConfiguration,omitempty"`
	// arpIgnore is the machine's setting net.ipv4.conf.all.arp_ignore.
	// +optional
	ARPIgnore int32 `json:"arpIgnore,omitempty"`
}

// NodePool is a pool as the node's agent counts it.
type NodePool struct {
	// name of the UnderlayPool.
	Name string `json:"name"`
	// observedGeneration of the UnderlayPool that the node file holds.
	ObservedGeneration int64 `json:"observedGeneration"`
	// allocated addresses.
	Allocated int64 `json:"allocated"`
	// cooling addresses.
	Cooling int64 `json:"cooling"`
	// drained ranges: draining, and no address of them is held.
	// +listType=atomic
	// +optional
	Drained []string `json:"drained,omitempty"`
}

// UnderlayNode is what the agent of the node of the same name saw.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=unode,categories=underlay
// +kubebuilder:metadata:annotations="underlay.dev/crd-revision=1"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Kernel",type=string,JSONPath=`.status.kernelVersion`
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.status.agentVersion`
// +kubebuilder:printcolumn:name="Boot",type=string,JSONPath=`.status.bootID`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type UnderlayNode struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// status is what the agent saw.
	// +optional
	Status UnderlayNodeStatus `json:"status,omitzero"`
}

// UnderlayNodeList is a list of nodes.
//
// +kubebuilder:object:root=true
type UnderlayNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UnderlayNode `json:"items"`
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Allocation says whether a pool hands out addresses.
// +kubebuilder:validation:Enum=Enabled;Disabled
type Allocation string

// The states of allocation.
const (
	AllocationEnabled Allocation = "Enabled"
	// AllocationDisabled hands out nothing more; releases still work.
	AllocationDisabled Allocation = "Disabled"
)

// UnderlayPoolSpec holds the addresses of one network, node, interface and family.
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.subnet) || cidr(self.subnet).ip().family() == (self.ipFamily == 'IPv4' ? 4 : 6)",message="must be of the pool's ipFamily",fieldPath=".subnet"
// +kubebuilder:validation:XValidation:rule="!isIP(self.gateway) || ip(self.gateway).family() == (self.ipFamily == 'IPv4' ? 4 : 6)",message="must be of the pool's ipFamily",fieldPath=".gateway"
// +kubebuilder:validation:XValidation:rule="!isIP(self.gateway) || !isCIDR(self.subnet) || cidr(self.subnet).containsIP(self.gateway) || ip(self.gateway).isLinkLocalUnicast()",message="must lie inside the subnet or be link-local (fe80:ec2::1 on AWS)",fieldPath=".gateway"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.subnet) || self.ranges.all(r, isIP(r) ? cidr(self.subnet).containsIP(r) : isCIDR(r) ? cidr(self.subnet).containsCIDR(r) : r.split('-').all(a, !isIP(a) || cidr(self.subnet).containsIP(a)))",message="every range must lie inside the subnet, with both ends: use the interface's own subnet and its own prefixes or addresses",fieldPath=".ranges"
type UnderlayPoolSpec struct {
	// networkName is the UnderlayNetwork that this pool serves.
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of an UnderlayNetwork: lower-case letters, digits and -, such as ens6"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="networkName is immutable: delete the pool and create it for the other network"
	// +required
	NetworkName string `json:"networkName"`

	// nodeName is the node that holds the interface.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="must be the name of a Kubernetes node, such as worker1"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="nodeName is immutable: delete the pool and create it for the other node"
	// +required
	NodeName string `json:"nodeName"`

	// interface is the node's interface that holds the addresses.
	// +required
	Interface PoolInterface `json:"interface"`

	// ipFamily of all addresses in the pool.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="ipFamily is immutable: delete the pool and create it for the other family"
	// +required
	IPFamily IPFamily `json:"ipFamily"`

	// subnet of the interface: mask and gateway come from it, never from the prefix.
	// +required
	Subnet CIDR `json:"subnet"`

	// gateway of the subnet; fe80:ec2::1 for IPv6 on AWS.
	// +required
	Gateway Address `json:"gateway"`

	// ranges of the pool.
	// +kubebuilder:validation:MaxItems=128
	// +listType=atomic
	// +required
	Ranges []Range `json:"ranges"`

	// exclude lists addresses inside the ranges that no pod gets.
	// +kubebuilder:validation:MaxItems=128
	// +listType=atomic
	// +optional
	Exclude []Range `json:"exclude,omitempty"`

	// draining lists ranges that hand out nothing more.
	// +kubebuilder:validation:MaxItems=128
	// +listType=atomic
	// +optional
	Draining []Range `json:"draining,omitempty"`

	// allocation says whether the pool hands out addresses.
	// +kubebuilder:default=Enabled
	// +optional
	Allocation Allocation `json:"allocation,omitempty"`
}

// PoolInterface names an interface of a node.
type PoolInterface struct {
	// id in the cloud, such as eni-0a1b2c3d.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	ID string `json:"id,omitempty"`

	// macAddress by which the node's link is found.
	// +kubebuilder:validation:MaxLength=17
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9a-f]{2}:){5}[0-9a-f]{2}$')",message="must be a MAC address in lower case, such as 02:00:00:00:10:01"
	// +required
	MACAddress string `json:"macAddress"`

	// deviceIndex is the position at which the interface is attached.
	// +kubebuilder:validation:Minimum=0
	// +optional
	DeviceIndex int32 `json:"deviceIndex"`

	// networkCardIndex is the card of the position.
	// +kubebuilder:validation:Minimum=0
	// +optional
	NetworkCardIndex int32 `json:"networkCardIndex"`
}

// UnderlayPoolStatus is what the operator observes.
type UnderlayPoolStatus struct {
	Usage `json:",inline"`

	// cooling: released addresses that rest before reuse.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Cooling int64 `json:"cooling,omitempty"`

	// conditions: Valid, InSync, Exhausted.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// UnderlayPool is the addresses of one network, node, interface and family.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=upool,categories=underlay
// +kubebuilder:selectablefield:JSONPath=`.spec.networkName`
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:metadata:annotations="underlay.dev/crd-revision=1"
// +kubebuilder:printcolumn:name="Network",type=string,JSONPath=`.spec.networkName`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Interface",type=string,JSONPath=`.spec.interface.id`
// +kubebuilder:printcolumn:name="Family",type=string,JSONPath=`.spec.ipFamily`
// +kubebuilder:printcolumn:name="Capacity",type=integer,JSONPath=`.status.capacity`
// +kubebuilder:printcolumn:name="Allocated",type=integer,JSONPath=`.status.allocated`
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=`.status.available`
// +kubebuilder:printcolumn:name="Subnet",type=string,JSONPath=`.spec.subnet`,priority=1
// +kubebuilder:printcolumn:name="Ranges",type=string,JSONPath=`.spec.ranges`,priority=1
// +kubebuilder:printcolumn:name="Allocation",type=string,JSONPath=`.spec.allocation`,priority=1
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`,priority=1
// +kubebuilder:printcolumn:name="InSync",type=string,JSONPath=`.status.conditions[?(@.type=="InSync")].status`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type UnderlayPool struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec holds the addresses.
	// +required
	Spec UnderlayPoolSpec `json:"spec"`

	// status is what the operator observes.
	// +optional
	Status UnderlayPoolStatus `json:"status,omitzero"`
}

// UnderlayPoolList is a list of pools.
//
// +kubebuilder:object:root=true
type UnderlayPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UnderlayPool `json:"items"`
}

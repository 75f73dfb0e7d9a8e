// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Provider says who knows which addresses a node's interfaces hold.
// +kubebuilder:validation:Enum=AWS;Manual
type Provider string

// The providers.
const (
	// ProviderAWS: pools are derived from what EC2 has bound to each ENI.
	ProviderAWS Provider = "AWS"
	// ProviderManual: the user writes the pools; any cloud, or bare metal.
	ProviderManual Provider = "Manual"
)

// IPFamily is an address family.
// +kubebuilder:validation:Enum=IPv4;IPv6
type IPFamily string

// The address families.
const (
	IPv4 IPFamily = "IPv4"
	IPv6 IPFamily = "IPv6"
)

// AddressSource is a way in which a cloud binds addresses to an interface.
// +kubebuilder:validation:Enum=Prefix;SecondaryIP
type AddressSource string

// The address sources.
const (
	// SourcePrefix: delegated prefixes, /28 for IPv4 and /80 for IPv6 on AWS.
	SourcePrefix AddressSource = "Prefix"
	// SourceSecondaryIP: single secondary addresses.
	SourceSecondaryIP AddressSource = "SecondaryIP"
)

// UnderlayNetworkSpec is the user's intent: which interfaces of which nodes carry pods, and how.
// +kubebuilder:validation:XValidation:rule="self.provider != 'Manual' || self.provisioning.mode != 'Manage'",message="mode Manage needs provider AWS: the pools of a Manual network are yours to write",fieldPath=".provisioning.mode"
// +kubebuilder:validation:XValidation:rule="!has(self.routes) || self.routes.all(r, !isCIDR(r.destination) || (cidr(r.destination).ip().family() == 4 ? 'IPv4' : 'IPv6') in self.ipFamilies)",message="must all be of the network's ipFamilies",fieldPath=".routes"
type UnderlayNetworkSpec struct {
	// provider says where pools come from: AWS (derived from EC2) or Manual (you write them).
	// +kubebuilder:default=AWS
	// +optional
	Provider Provider `json:"provider,omitempty"`

	// nodeSelector chooses nodes by label; all Linux nodes by default.
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="each of matchExpressions needs an operator: In or NotIn with values, Exists or DoesNotExist without"
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`

	// interfaceSelector chooses interfaces of each chosen node.
	// +required
	InterfaceSelector InterfaceSelector `json:"interfaceSelector"`

	// ipFamilies are the address families of the network.
	// +kubebuilder:default={"IPv4","IPv6"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	IPFamilies []IPFamily `json:"ipFamilies,omitempty"`

	// addressSources are the kinds of addresses that pods may use.
	// +kubebuilder:default={"Prefix","SecondaryIP"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=set
	// +optional
	AddressSources []AddressSource `json:"addressSources,omitempty"`

	// attachment is the NetworkAttachmentDefinition made for this network; kube-system/ipvlan-<name> by default.
	// +optional
	Attachment *AttachmentReference `json:"attachment,omitempty"`

	// default makes this network the nodes' default CNI configuration too.
	// +optional
	Default bool `json:"default,omitempty"`

	// mtu of pod interfaces in bytes; 0 takes the node interface's own.
	// +kubebuilder:validation:XValidation:rule="self == 0 || (self >= 1280 && self <= 9216)",message="must be 0 (the interface's own MTU) or from 1280 to 9216"
	// +optional
	MTU int32 `json:"mtu,omitempty"`

	// hostAccess configures the host leg: a pod's second leg to its own node, for probes, ClusterIP, NodePort and node-local services.
	// +kubebuilder:default={enabled: true}
	// +optional
	HostAccess *HostAccess `json:"hostAccess,omitempty"`

	// routes are added to each pod of this network that reaches their gateway: one in the subnet of the pod's address, or link-local.
	// Of several to one destination the pod gets the first that it reaches, so that a network on several subnets can have one for each.
	// A default route takes the place of that by the pool's gateway.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Routes []Route `json:"routes,omitempty"`

	// exclude lists addresses that no pod gets: a CIDR, first-last, or one address.
	// +kubebuilder:validation:MaxItems=128
	// +listType=atomic
	// +optional
	Exclude []Range `json:"exclude,omitempty"`

	// cooldownSeconds is how long a released address rests before it is handed out again.
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	// +optional
	CooldownSeconds *int32 `json:"cooldownSeconds,omitempty"`

	// allowedNamespaces may use this network; empty means all.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace: lower-case letters, digits and -, such as kube-system"
	// +listType=set
	// +optional
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`

	// requestedIPs says whether a pod may ask for a certain address.
	// +kubebuilder:default=Deny
	// +optional
	RequestedIPs RequestedIPs `json:"requestedIPs,omitempty"`

	// metadataService blocks or allows the instance metadata service from pods.
	// +kubebuilder:default={mode: Block, exceptNamespaces: {"kube-system"}}
	// +optional
	MetadataService *MetadataService `json:"metadataService,omitempty"`

	// provisioning says whether the operator may write to the cloud, and how many free addresses it keeps.
	// +kubebuilder:default={mode: Observe, minFree: 8, maxFree: 32}
	// +optional
	Provisioning *Provisioning `json:"provisioning,omitempty"`
}

// InterfaceSelector chooses interfaces in exactly one way.
// +kubebuilder:validation:XValidation:rule="(has(self.deviceIndexes) ? 1 : 0) + (has(self.names) ? 1 : 0) + (has(self.tags) ? 1 : 0) == 1",message="choose interfaces in exactly one way: deviceIndexes, names or tags"
type InterfaceSelector struct {
	// deviceIndexes are positions at which interfaces are attached; 0 is the primary one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Minimum=0
	// +kubebuilder:validation:items:Maximum=63
	// +listType=set
	// +optional
	DeviceIndexes []int32 `json:"deviceIndexes,omitempty"`

	// names are Linux link names as the nodes' agents see them.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=15
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[^/ ]+$') && self != '.' && self != '..'",message="must be the name of a Linux link, such as ens6"
	// +listType=set
	// +optional
	Names []string `json:"names,omitempty"`

	// tags of the cloud's interfaces; all must match.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=50
	// +optional
	Tags map[string]string `json:"tags,omitempty"`
}

// AttachmentReference names a NetworkAttachmentDefinition.
type AttachmentReference struct {
	// namespace of the attachment.
	// +kubebuilder:default=kube-system
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace: lower-case letters, digits and -, such as kube-system"
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// name of the attachment.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of an object: lower-case letters, digits, - and ., such as ipvlan-ens6"
	// +required
	Name string `json:"name"`
}

// String gives namespace/name, as Multus and Spiderpool write it.
func (a AttachmentReference) String() string { return a.Namespace + "/" + a.Name }

// HostAccess configures the host leg.
type HostAccess struct {
	// enabled gives each pod a host leg.
	// +kubebuilder:default=true
	// +optional
	Enabled *bool `json:"enabled,omitempty"`

	// cidrs are reached by the host leg besides the node's own addresses and the service CIDRs.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	CIDRs []CIDR `json:"cidrs,omitempty"`
}

// Route is a route inside a pod.
// +kubebuilder:validation:XValidation:rule="!isCIDR(self.destination) || !isIP(self.gateway) || cidr(self.destination).ip().family() == ip(self.gateway).family()",message="destination and gateway must be of one address family"
type Route struct {
	// destination network, as CIDR.
	// +required
	Destination CIDR `json:"destination"`

	// gateway in the subnet of pods, or link-local.
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || ip(self).isGlobalUnicast() || ip(self).isLinkLocalUnicast()",message="must be an address that a router can have"
	// +required
	Gateway Address `json:"gateway"`
}

// Address is one IP address, IPv4 or IPv6.
// +kubebuilder:validation:MaxLength=45
// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IP address, such as 10.0.0.1 or fd00::1"
type Address string

// CIDR is a network with its mask; host bits must be zero.
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="must be a CIDR without host bits, such as 10.0.0.0/16 or fd00::/64"
type CIDR string

// Range is a CIDR, first-last, or one address.
// +kubebuilder:validation:MaxLength=91
// +kubebuilder:validation:XValidation:rule="isIP(self) || (isCIDR(self) && cidr(self) == cidr(self).masked()) || (self.split('-').size() == 2 && self.split('-').all(a, isIP(a)) && ip(self.split('-')[0]).family() == ip(self.split('-')[1]).family())",message="must be a CIDR without host bits (10.0.0.16/28), first-last (10.0.0.4-10.0.0.9) or one address (10.0.0.4)"
type Range string

// RequestedIPs says whether a pod may ask for a certain address.
// +kubebuilder:validation:Enum=Deny;Allow
type RequestedIPs string

// The answers to a pod that asks for an address.
const (
	RequestedIPsDeny  RequestedIPs = "Deny"
	RequestedIPsAllow RequestedIPs = "Allow"
)

// MetadataMode says what happens to traffic from pods to the instance metadata service.
// +kubebuilder:validation:Enum=Block;Allow
type MetadataMode string

// The modes of the metadata service.
const (
	MetadataBlock MetadataMode = "Block"
	MetadataAllow MetadataMode = "Allow"
)

// MetadataService says which pods reach the instance metadata service.
type MetadataService struct {
	// mode is Block or Allow.
	// +kubebuilder:default=Block
	// +optional
	Mode MetadataMode `json:"mode,omitempty"`

	// exceptNamespaces are treated the other way round.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be the name of a namespace: lower-case letters, digits and -, such as kube-system"
	// +listType=set
	// +optional
	ExceptNamespaces []string `json:"exceptNamespaces,omitempty"`
}

// ProvisioningMode says whether the operator may write to the cloud.
// +kubebuilder:validation:Enum=Observe;Manage
type ProvisioningMode string

// The provisioning modes.
const (
	// Observe never writes to the cloud.
	Observe ProvisioningMode = "Observe"
	// Manage assigns and unassigns prefixes, and only on interfaces tagged for this cluster. No operator does so yet.
	Manage ProvisioningMode = "Manage"
)

// Provisioning says how many free IPv4 addresses the operator keeps on each node.
// +kubebuilder:validation:XValidation:rule="self.maxFree >= self.minFree + 16",message="maxFree (32 by default) must be at least minFree (8 by default) + 16, as a prefix brings 16 addresses at once"
type Provisioning struct {
	// mode is Observe or Manage. This version only observes.
	// +kubebuilder:default=Observe
	// +optional
	Mode ProvisioningMode `json:"mode,omitempty"`

	// minFree addresses: a prefix is assigned below this.
	// +kubebuilder:default=8
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1024
	// +optional
	MinFree *int32 `json:"minFree,omitempty"`

	// maxFree addresses: a prefix is drained and unassigned above this.
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=2048
	// +optional
	MaxFree *int32 `json:"maxFree,omitempty"`
}

// UnderlayNetworkStatus is what the operator observes.
type UnderlayNetworkStatus struct {
	// conditions: Ready and others.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// serviceCIDRs found in the cluster, reached by the host leg.
	// +listType=atomic
	// +optional
	ServiceCIDRs []string `json:"serviceCIDRs,omitempty"`

	// nodes that carry this network.
	// +optional
	Nodes int32 `json:"nodes,omitempty"`

	// pools of this network.
	// +optional
	Pools int32 `json:"pools,omitempty"`

	Usage `json:",inline"`
}

// Usage counts addresses. Numbers stop at 2^53-1, what JSON carries exactly.
type Usage struct {
	// capacity: addresses in all.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	// +optional
	Capacity int64 `json:"capacity,omitempty"`

	// allocated: addresses held by pods.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Allocated int64 `json:"allocated,omitempty"`

	// available: addresses that a pod can get now.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Available int64 `json:"available,omitempty"`
}

// UnderlayNetwork is a network that pods join: which interfaces of which nodes carry it, and how.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=unet,categories=underlay
// +kubebuilder:metadata:annotations="underlay.dev/crd-revision=1"
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Families",type=string,JSONPath=`.spec.ipFamilies`
// +kubebuilder:printcolumn:name="Attachment",type=string,JSONPath=`.spec.attachment.name`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodes`
// +kubebuilder:printcolumn:name="Pools",type=integer,JSONPath=`.status.pools`
// +kubebuilder:printcolumn:name="Allocated",type=integer,JSONPath=`.status.allocated`
// +kubebuilder:printcolumn:name="Available",type=integer,JSONPath=`.status.available`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Default",type=boolean,JSONPath=`.spec.default`,priority=1
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.provisioning.mode`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be a DNS label of at most 40 characters: lower-case letters, digits and -, since pool names are made from it",fieldPath=".metadata"
type UnderlayNetwork struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the user's intent.
	// +required
	Spec UnderlayNetworkSpec `json:"spec"`

	// status is what the operator observes.
	// +optional
	Status UnderlayNetworkStatus `json:"status,omitzero"`
}

// UnderlayNetworkList is a list of networks.
//
// +kubebuilder:object:root=true
type UnderlayNetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UnderlayNetwork `json:"items"`
}

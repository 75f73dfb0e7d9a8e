// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// InventoryKind is the kind of an inventory file.
const InventoryKind = "Inventory"

// OtherIPAM is another manager of a cloud's interfaces and addresses.
// +kubebuilder:validation:Enum=AWSVPCCNI;CiliumENI
type OtherIPAM string

// The other managers that are recognised.
const (
	// AWSVPCCNI: aws-node, as on EKS.
	AWSVPCCNI OtherIPAM = "AWSVPCCNI"
	// CiliumENI: Cilium in ENI mode.
	CiliumENI OtherIPAM = "CiliumENI"
)

// NoManageTag on an interface, with the value "true", tells AWSVPCCNI to leave the interface alone.
const NoManageTag = "node.k8s.amazonaws.com/no_manage"

// Tags that other managers put on the interfaces that they manage.
const (
	// AWSVPCCNITag holds the instance's id: https://github.com/aws/amazon-vpc-cni-k8s/pull/1482
	AWSVPCCNITag = "node.k8s.amazonaws.com/instance_id"
	// CiliumENITag is "true": https://github.com/cilium/cilium/pull/21409
	CiliumENITag = "io.cilium/cilium-managed"
)

// Inventory is everything observed of nodes and their cloud: what `kubectl underlay inspect -o yaml` prints and
// `--inventory FILE` reads. It is a file, not a custom resource. Unknown fields are errors, except inside the verbatim
// items at its end.
// +kubebuilder:object:generate=false
type Inventory struct {
	metav1.TypeMeta `json:",inline"`

	// provider that was asked.
	Provider Provider `json:"provider"`

	// otherIPAM lists other managers of the nodes' interfaces, found in the cluster.
	// +optional
	OtherIPAM []OtherIPAM `json:"otherIPAM,omitempty"`

	// vpcs of the nodes.
	// +optional
	VPCs []VPC `json:"vpcs,omitempty"`

	// subnets of the VPCs.
	// +optional
	Subnets []Subnet `json:"subnets,omitempty"`

	// nodes of the cluster.
	// +optional
	Nodes []Node `json:"nodes,omitempty"`

	// instanceTypes in use, with what EC2 says of them.
	// +optional
	InstanceTypes []InstanceType `json:"instanceTypes,omitempty"`

	// The rest is verbatim: each item exactly as `aws ec2 describe-…` prints it.

	// routeTables as `aws ec2 describe-route-tables` prints them.
	// +optional
	RouteTables []json.RawMessage `json:"routeTables,omitempty"`
	// securityGroups as `aws ec2 describe-security-groups` prints them.
	// +optional
	SecurityGroups []json.RawMessage `json:"securityGroups,omitempty"`
	// networkAcls as `aws ec2 describe-network-acls` prints them.
	// +optional
	NetworkACLs []json.RawMessage `json:"networkAcls,omitempty"`
	// natGateways as `aws ec2 describe-nat-gateways` prints them.
	// +optional
	NATGateways []json.RawMessage `json:"natGateways,omitempty"`
	// internetGateways as `aws ec2 describe-internet-gateways` prints them.
	// +optional
	InternetGateways []json.RawMessage `json:"internetGateways,omitempty"`
	// egressOnlyInternetGateways as `aws ec2 describe-egress-only-internet-gateways` prints them.
	// +optional
	EgressOnlyInternetGateways []json.RawMessage `json:"egressOnlyInternetGateways,omitempty"`
	// vpcPeeringConnections as `aws ec2 describe-vpc-peering-connections` prints them.
	// +optional
	VPCPeeringConnections []json.RawMessage `json:"vpcPeeringConnections,omitempty"`
	// transitGatewayAttachments as `aws ec2 describe-transit-gateway-attachments` prints them.
	// +optional
	TransitGatewayAttachments []json.RawMessage `json:"transitGatewayAttachments,omitempty"`
	// subnetCidrReservations of the nodes' subnets as `aws ec2 get-subnet-cidr-reservations` prints them, both families.
	// +optional
	SubnetCIDRReservations []json.RawMessage `json:"subnetCidrReservations,omitempty"`
}

// VPC is a virtual private cloud.
// +kubebuilder:object:generate=false
type VPC struct {
	// id such as vpc-0a1b.
	// +kubebuilder:validation:MinLength=1
	ID string `json:"id"`
	// cidrs are the IPv4 networks.
	// +kubebuilder:validation:items:Format=ipv4-cidr
	// +optional
	CIDRs []netip.Prefix `json:"cidrs,omitempty"`
	// ipv6CIDRs are the IPv6 networks.
	// +kubebuilder:validation:items:Format=ipv6-cidr
	// +optional
	IPv6CIDRs []netip.Prefix `json:"ipv6CIDRs,omitempty"`
}

// Subnet of a VPC.
// +kubebuilder:object:generate=false
type Subnet struct {
	// id such as subnet-0a1b.
	// +kubebuilder:validation:MinLength=1
	ID string `json:"id"`
	// vpcID of the VPC.
	// +optional
	VPCID string `json:"vpcID,omitempty"`
	// ownerID is the account that owns the subnet, where that is not the nodes' account: it is shared with it.
	// +optional
	OwnerID string `json:"ownerID,omitempty"`
	// zone such as eu-central-1a.
	// +optional
	Zone string `json:"zone,omitempty"`
	// availableIPv4 is how many of the subnet's IPv4 addresses are free; they need not be in a row.
	// +kubebuilder:validation:Minimum=0
	// +optional
	AvailableIPv4 *int32 `json:"availableIPv4,omitempty"`
	// tags of the subnet.
	// +optional
	Tags map[string]string `json:"tags,omitempty"`
	// cidr is the IPv4 network; absent in an IPv6-only subnet.
	// +kubebuilder:validation:Format=ipv4-cidr
	// +optional
	CIDR netip.Prefix `json:"cidr,omitzero"`
	// ipv6CIDR is the IPv6 network.
	// +kubebuilder:validation:Format=ipv6-cidr
	// +optional
	IPv6CIDR netip.Prefix `json:"ipv6CIDR,omitzero"`
	// gateway of the IPv4 network, for provider Manual; AWS's is always the first address.
	// +kubebuilder:validation:Format=ipv4
	// +optional
	Gateway netip.Addr `json:"gateway,omitzero"`
	// ipv6Gateway of the IPv6 network, for provider Manual; AWS's is always fe80:ec2::1.
	// +kubebuilder:validation:Format=ipv6
	// +optional
	IPv6Gateway netip.Addr `json:"ipv6Gateway,omitzero"`
}

// Node is a Kubernetes node with its cloud instance.
// +kubebuilder:object:generate=false
type Node struct {
	// name of the Kubernetes node.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the Kubernetes node, by which its pools are owned.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// labels of the Kubernetes node, for nodeSelector.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// providerID such as aws:///eu-central-1a/i-0a1b.
	// +optional
	ProviderID string `json:"providerID,omitempty"`
	// instanceID such as i-0a1b; empty when no instance was found.
	// +optional
	InstanceID string `json:"instanceID,omitempty"`
	// instanceType such as m5.large.
	// +optional
	InstanceType string `json:"instanceType,omitempty"`
	// kernel version as the kubelet reports it.
	// +optional
	Kernel string `json:"kernel,omitempty"`
	// maxPods is how many pods the kubelet takes (allocatable); absent means unknown.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxPods int32 `json:"maxPods,omitempty"`
	// internalIPs of the Kubernetes node.
	// +kubebuilder:validation:items:Format=ip
	// +optional
	InternalIPs []netip.Addr `json:"internalIPs,omitempty"`
	// host is the node's machine as its agent saw it; absent where no agent has.
	// +optional
	Host *NodeHost `json:"host,omitempty"`
	// interfaces of the instance.
	// +optional
	Interfaces []Interface `json:"interfaces,omitempty"`
}

// Interface is a node's NIC; on AWS an ENI.
// +kubebuilder:object:generate=false
type Interface struct {
	// id such as eni-0a1b; outside a cloud any text that no other interface has, such as worker1-eth1.
	// +kubebuilder:validation:MinLength=1
	ID string `json:"id"`
	// macAddress by which the node's link is found.
	// +kubebuilder:validation:Format=mac
	// +kubebuilder:validation:Pattern=`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`
	MACAddress string `json:"macAddress"`
	// deviceIndex is the position on its card; 0 is the primary interface.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	DeviceIndex int32 `json:"deviceIndex"`
	// networkCardIndex is the card.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=63
	// +optional
	NetworkCardIndex int32 `json:"networkCardIndex,omitempty"`
	// name of the Linux link, as the node's agent saw it.
	// +kubebuilder:validation:MaxLength=15
	// +optional
	Name string `json:"name,omitempty"`
	// mtu in bytes, as the node's agent saw it.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +optional
	MTU int32 `json:"mtu,omitempty"`
	// subnetID of the subnet.
	// +kubebuilder:validation:MinLength=1
	SubnetID string `json:"subnetID"`
	// securityGroups are the ids of the groups.
	// +optional
	SecurityGroups []string `json:"securityGroups,omitempty"`
	// sourceDestCheck as EC2 has it; absent means unknown.
	// +optional
	SourceDestCheck *bool `json:"sourceDestCheck,omitempty"`
	// tags of the interface.
	// +optional
	Tags map[string]string `json:"tags,omitempty"`
	// primaryIPv4 is the node's own; absent in an IPv6-only subnet.
	// +kubebuilder:validation:Format=ipv4
	// +optional
	PrimaryIPv4 netip.Addr `json:"primaryIPv4,omitzero"`
	// secondaryIPv4 are single addresses for pods.
	// +kubebuilder:validation:items:Format=ipv4
	// +optional
	SecondaryIPv4 []netip.Addr `json:"secondaryIPv4,omitempty"`
	// ipv4Prefixes are delegated prefixes, /28 on AWS.
	// +kubebuilder:validation:items:Format=ipv4-cidr
	// +optional
	IPv4Prefixes []netip.Prefix `json:"ipv4Prefixes,omitempty"`
	// primaryIPv6 is the node's own.
	// +kubebuilder:validation:Format=ipv6
	// +optional
	PrimaryIPv6 netip.Addr `json:"primaryIPv6,omitzero"`
	// secondaryIPv6 are single addresses for pods.
	// +kubebuilder:validation:items:Format=ipv6
	// +optional
	SecondaryIPv6 []netip.Addr `json:"secondaryIPv6,omitempty"`
	// ipv6Prefixes are delegated prefixes, /80 on AWS.
	// +kubebuilder:validation:items:Format=ipv6-cidr
	// +optional
	IPv6Prefixes []netip.Prefix `json:"ipv6Prefixes,omitempty"`
	// ranges of addresses for pods of either family, for provider Manual: a CIDR, first-last, or one address.
	// +kubebuilder:validation:items:Format=ip-range
	// +optional
	Ranges []string `json:"ranges,omitempty"`
}

// InstanceType is what EC2 says of an instance type (DescribeInstanceTypes).
// +kubebuilder:object:generate=false
type InstanceType struct {
	// name such as m5.large.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// hypervisor is nitro or xen; empty for bare metal.
	// +optional
	Hypervisor string `json:"hypervisor,omitempty"`
	// bareMetal says that no hypervisor is in between.
	// +optional
	BareMetal bool `json:"bareMetal,omitempty"`
	// maximumInterfaces of the default network card.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaximumInterfaces int32 `json:"maximumInterfaces,omitempty"`
	// ipv4PerInterface counts addresses, the primary one included.
	// +kubebuilder:validation:Minimum=0
	// +optional
	IPv4PerInterface int32 `json:"ipv4PerInterface,omitempty"`
	// ipv6PerInterface counts addresses.
	// +kubebuilder:validation:Minimum=0
	// +optional
	IPv6PerInterface int32 `json:"ipv6PerInterface,omitempty"`
}

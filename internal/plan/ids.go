// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

// The ids of the planner's findings. Each has a section in docs/checks.md and an entry in package check.
const (
	// IDAddressOnTwoInterfaces: an address or prefix is seen on two interfaces.
	IDAddressOnTwoInterfaces = "address-on-two-interfaces"
	// IDAddressOutsideSubnet: a secondary address is not in its interface's subnet.
	IDAddressOutsideSubnet = "address-outside-subnet"
	// IDAttachmentShared: two networks want the same attachment.
	IDAttachmentShared = "attachment-shared"
	// IDDefaultNetworkTwice: two default networks on one node.
	IDDefaultNetworkTwice = "default-network-twice"
	// IDDuplicateInInventory: two nodes, subnets or interfaces that cannot be told apart.
	IDDuplicateInInventory = "duplicate-in-inventory"
	// IDHostAccessCoversPods: a network sends to its pods' own node what is for pods on other nodes.
	IDHostAccessCoversPods = "host-access-covers-pods"
	// IDInterfaceOwnedByOtherIPAM: another manager hands out the interface's addresses.
	IDInterfaceOwnedByOtherIPAM = "interface-owned-by-other-ipam"
	// IDInterfaceShared: a network wants addresses which an earlier one has.
	IDInterfaceShared = "interface-shared"
	// IDInterfaceWithoutAddresses: a network chooses an interface that has no address for it.
	IDInterfaceWithoutAddresses = "interface-without-addresses"
	// IDLinkNameUnknown: an export needs the name of a Linux link that nobody has seen.
	IDLinkNameUnknown = "link-name-unknown"
	// IDNetworkInvalid: a network that cannot be read.
	IDNetworkInvalid = "network-invalid"
	// IDNetworkWithoutNodes: a network that selects no node.
	IDNetworkWithoutNodes = "network-without-nodes"
	// IDNodeWithoutInterface: a network selects a node that has no interface for it.
	IDNodeWithoutInterface = "node-without-interface"
	// IDNothingToPropose: no network is given, and no interface carries addresses for pods.
	IDNothingToPropose = "nothing-to-propose"
	// IDPoolFamilyNotInNetwork and the following: what is wrong with a pool that a user has written.
	IDPoolFamilyNotInNetwork = "pool-family-not-in-network"
	// IDPoolHasGateway: the pool would hand out its subnet's gateway.
	IDPoolHasGateway = "pool-has-gateway"
	// IDPoolHasNodeAddress: the pool would hand out a node's own address.
	IDPoolHasNodeAddress = "pool-has-node-address"
	// IDPoolHasReservedAddress: the pool would hand out an address that no host may have.
	IDPoolHasReservedAddress = "pool-has-reserved-address"
	// IDPoolInterfaceNotFound: the pool's node has no interface of its MAC address.
	IDPoolInterfaceNotFound = "pool-interface-not-found"
	// IDPoolNetworkNotFound: the pool's network does not exist.
	IDPoolNetworkNotFound = "pool-network-not-found"
	// IDPoolNodeNotFound: the pool's node does not exist.
	IDPoolNodeNotFound = "pool-node-not-found"
	// IDPoolNodeNotSelected: the pool's node is none of its network's.
	IDPoolNodeNotSelected = "pool-node-not-selected"
	// IDPoolNotDerived: the pool is of a network whose pools come from the cloud, and is none of them.
	IDPoolNotDerived = "pool-not-derived"
	// IDPrefixOutsideSubnet: a delegated prefix is not in its interface's subnet.
	IDPrefixOutsideSubnet = "prefix-outside-subnet"
	// IDProviderMismatch: a network's pools come from another provider than the inventory's.
	IDProviderMismatch = "provider-mismatch"
	// IDRouteGatewayNotReached: pods do not get a route of their network, since its gateway is not on their subnet.
	IDRouteGatewayNotReached = "route-gateway-not-reached"
	// IDRouteNotExported: an export leaves out a route of a network which its format cannot say.
	IDRouteNotExported = "route-not-exported"
	// IDSubnetWithoutGateway: a subnet outside a cloud does not say its gateway, or says a wrong one.
	IDSubnetWithoutGateway = "subnet-without-gateway"
	// IDSubnetWithoutFamily: an interface has addresses of a family that its subnet has not.
	IDSubnetWithoutFamily = "subnet-without-family"
	// IDTooManyRanges: a pool would have more ranges or exclusions than its schema allows.
	IDTooManyRanges = "too-many-ranges"
	// IDUnknownSubnet: an interface's subnet is not in the inventory.
	IDUnknownSubnet = "unknown-subnet"
)

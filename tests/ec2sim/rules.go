// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import "slices"

// Rule is something that EC2 enforces, and the simulator with it. A test for each breaks it, and docs/reference lists
// them.
type Rule struct {
	// ID reads, and is stable.
	ID string
	// Says what is so.
	Says string
	// Code of EC2's error; empty for a rule that is kept without one.
	Code string
	// Source of the rule, and of the words of the error.
	Source string
}

const (
	apiReference = "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/"
	userGuide    = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/"
	devGuide     = "https://docs.aws.amazon.com/ec2/latest/devguide/"
	vpcGuide     = "https://docs.aws.amazon.com/vpc/latest/userguide/"
	errorCodes   = apiReference + "errors-overview.html"
	github       = "https://github.com/"
	cniIssue     = github + "aws/amazon-vpc-cni-k8s/issues/"
	terraform    = github + "hashicorp/terraform-provider-aws/issues/"
)

// Rules that the simulator enforces, by group.
func Rules() []Rule {
	return slices.Concat(requestRules(), readRules(), addressRules(), interfaceRules())
}

// requestRules hold for every call.
func requestRules() []Rule {
	return []Rule{
		{"credentials-needed", "a request is signed", "MissingParameter", errorCodes},
		{"credentials-known", "the credentials are AWS's", "AuthFailure", errorCodes},
		{"credentials-current", "temporary credentials have not expired", "RequestExpired", errorCodes},
		{"throttle", "each action has a bucket of tokens: 100 and 20 a second to describe (50 and 10 for everything at once), " +
			"100 and 5 for addresses and interfaces, 100 and 10 for tags, 50 and 5 for what else writes", "RequestLimitExceeded", devGuide + "ec2-api-throttling.html"},
		{"permission", "the identity may call the action; this comes ahead of parameters", "UnauthorizedOperation", errorCodes},
		{"dry-run", "a dry run of what is permitted changes nothing", "DryRunOperation", apiReference + "CommonParameters.html"},
		{"action-needed", "a request names its action", "MissingAction", errorCodes},
		{"action-known", "the action exists", "InvalidAction", errorCodes},
		{"version-known", "the API's version exists", "NoSuchVersion", errorCodes},
		{"form", "a request is a form", "MalformedQueryString", errorCodes},
		{"parameter-known", "an action knows the request's parameters", "UnknownParameter", github + "boto/boto/issues/933"},
		{"parameter-needed", "an action gets what it needs", "MissingParameter", errorCodes},
	}
}

// readRules are those of describing.
func readRules() []Rule {
	return []Rule{
		{"page-size", "MaxResults is from 5 to 1000 (100 for route tables and instance types, 255 for egress-only gateways)", "InvalidParameterValue", devGuide + "ec2-api-pagination.html"},
		{"page-size-of-types", "MaxResults of instance types is from 5 to 100, with a code of its own", "InvalidMaxResults", apiReference + "API_DescribeInstanceTypes.html"},
		{"page-or-ids", "a call lists ids or pages, not both", "InvalidParameterCombination", devGuide + "ec2-api-pagination.html"},
		{"page-token", "a token goes on with the same request only", "InvalidParameterValue", devGuide + "ec2-api-pagination.html"},
		{"filter-known", "an action knows the filter", "InvalidParameterValue", errorCodes},
		{"filter-values", "the filters of a call have 200 values at most", "FilterLimitExceeded", errorCodes},
		{"ids-exist", "one missing id fails the whole call: instances", "InvalidInstanceID.NotFound", errorCodes},
		{"subnet-exists", "the same of subnets", "InvalidSubnetID.NotFound", errorCodes},
		{"vpc-exists", "the same of VPCs", "InvalidVpcID.NotFound", errorCodes},
		{"type-exists", "the same of instance types", "InvalidInstanceType", errorCodes},
		{"route-table-exists", "the same of route tables", "InvalidRouteTableID.NotFound", errorCodes},
		{"group-exists", "the same of security groups", "InvalidGroup.NotFound", errorCodes},
		{"acl-exists", "the same of network ACLs", "InvalidNetworkAclID.NotFound", errorCodes},
		{"nat-exists", "the same of NAT gateways", "NatGatewayNotFound", errorCodes},
		{"internet-gateway-exists", "the same of internet gateways", "InvalidInternetGatewayID.NotFound", errorCodes},
		{"egress-only-exists", "the same of egress-only internet gateways", "InvalidEgressOnlyInternetGatewayId.NotFound", errorCodes},
		{"peering-exists", "the same of peerings", "InvalidVpcPeeringConnectionID.NotFound", errorCodes},
		{"transit-exists", "the same of transit gateway attachments", "InvalidTransitGatewayAttachmentID.NotFound", errorCodes},
		{"eventual", "on demand, a read does not see what was written just now", "", devGuide + "eventual-consistency.html"},
	}
}

// addressRules are those of assigning.
func addressRules() []Rule {
	return []Rule{
		{"one-way", "addresses or prefixes, by number or by name: one way a call", "InvalidParameterValue", github + "aws/karpenter-provider-aws/issues/2187"},
		{"slots", "primary address, secondary addresses and prefixes take the slots that the type has per interface", "PrivateIpAddressLimitExceeded", userGuide + "ec2-prefix-eni.html"},
		{"nitro", "prefixes need the Nitro System, virtual or bare metal", "UnsupportedOperation", userGuide + "ec2-prefix-eni.html (the words are ours)"},
		{"ipv6-type", "IPv6 needs a type that supports it", "UnsupportedOperation", userGuide + "instance-types.html (the words are ours)"},
		{"reserved", "the first four addresses of a subnet and its last are AWS's", "InvalidParameterValue", vpcGuide + "subnet-sizing.html"},
		{"in-subnet", "an address lies in its interface's subnet", "InvalidParameterValue", errorCodes},
		{"move", "an address moves only with AllowReassignment, and neither a primary one nor one of a prefix", "InvalidParameterValue", apiReference + "API_AssignPrivateIpAddresses.html"},
		{"prefix-form", "a prefix is an aligned /28, or /80", "InvalidParameterValue", userGuide + "ec2-prefix-eni.html"},
		{"prefix-in-a-row", "a prefix needs 16 free, aligned addresses in a row, however many are free", "InsufficientCidrBlocks", cniIssue + "1836"},
		{"prefix-room", "fewer addresses are free than prefixes need", "InvalidParameterValue", github + "cilium/cilium/pull/31016"},
		{"subnet-room", "a subnet runs out of addresses", "InsufficientFreeAddressesInSubnet", cniIssue + "1773"},
		{"reservation-prefix", "prefixes come from reservations of type prefix first, then from what is not reserved", "", cniIssue + "2749"},
		{"reservation-address", "EC2 chooses no address out of a reservation", "", vpcGuide + "subnet-cidr-reservation.html"},
		{"reservation-explicit", "what a reservation of type explicit holds is given only by name", "", vpcGuide + "subnet-cidr-reservation.html"},
		{"unassign-held", "only what an interface has is taken from it", "InvalidParameterValue", errorCodes},
		{"unassign-primary", "the primary address stays", "InvalidParameterValue", apiReference + "API_UnassignPrivateIpAddresses.html"},
	}
}

// interfaceRules are those of making, attaching and removing interfaces.
func interfaceRules() []Rule {
	return []Rule{
		{"interface-exists", "an interface exists", "InvalidNetworkInterfaceID.NotFound", errorCodes},
		{"interface-id", "an interface's id begins with eni-", "InvalidNetworkInterfaceID.Malformed", errorCodes},
		{"address-in-use", "a primary address is free", "InvalidIPAddress.InUse", errorCodes},
		{"idempotent", "a client token gives the same interface again, for the same request only", "IdempotentParameterMismatch", devGuide + "ec2-api-idempotency.html"},
		{"attached-once", "an interface is attached once", "InvalidNetworkInterface.InUse", terraform + "27513"},
		{"instance-state", "an instance that is neither running nor stopped gets no interface", "IncorrectState", github + "ansible-collections/amazon.aws/pull/497"},
		{"same-zone", "interface and instance are in one zone", "InvalidParameterCombination", userGuide + "using-eni.html (the words are ours)"},
		{"card-exists", "the type has the network card", "InvalidParameterValue", userGuide + "using-eni.html (the words are ours)"},
		{"efa-stopped", "an EFA is attached to a stopped instance", "UnsupportedOperation", terraform + "44355 (the words are ours)"},
		{"device-free", "a device index is free on its card", "InvalidParameterValue", github + "lstoll/k8s-vpcnet/issues/71"},
		{"device-without-card", "a request that names no card finds a device index taken on any card", "InvalidParameterValue", github + "cilium/cilium/pull/42512"},
		{"interfaces-per-card", "a type has a number of interfaces per network card", "AttachmentLimitExceeded", github + "cilium/cilium/issues/15877"},
		{"slots-at-attach", "an interface with more addresses than the type has slots is not attached", "PrivateIpAddressLimitExceeded", errorCodes},
		{"attach-takes-time", "an interface is attaching, then attached; detaching, then free", "", apiReference + "API_NetworkInterfaceAttachment.html"},
		{"detach-primary", "the primary interface stays", "OperationNotPermitted", userGuide + "using-eni.html"},
		{"detach-others", "what belongs to a load balancer is not ours to detach", "OperationNotPermitted", github + "boto/boto3/issues/2219"},
		{"detach-twice", "what is being detached is not detached again", "IncorrectState", errorCodes + " (the words are ours)"},
		{"attachment-exists", "an attachment exists", "InvalidAttachmentID.NotFound", errorCodes},
		{"delete-free", "an interface in use is not deleted", "InvalidParameterValue", github + "gruntwork-io/cloud-nuke/pull/1132"},
		{"modify-one", "one attribute is modified at a time", "InvalidParameterCombination", apiReference + "API_ModifyNetworkInterfaceAttribute.html (the words are ours)"},
		{"tags-per-resource", "a resource has 50 tags at most", "TagLimitExceeded", userGuide + "Using_Tags.html"},
		{"tags-of-aws", "tags that begin with aws: are AWS's", "InvalidParameterValue", userGuide + "Using_Tags.html"},
		{"tags-of-what", "only what exists is tagged", "InvalidID", errorCodes},
	}
}

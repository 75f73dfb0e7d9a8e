// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"net/netip"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// str is the string, or empty for nil.
func str(s *string) string { return sdk.ToString(s) }

func toInstance(in types.Instance, nics []types.NetworkInterface) cloud.Instance {
	out := cloud.Instance{ID: str(in.InstanceId), Type: string(in.InstanceType), VPCID: str(in.VpcId)}
	if in.State != nil {
		out.State = string(in.State.Name)
	}
	for _, nic := range nics {
		out.Interfaces = append(out.Interfaces, toInterface(nic))
	}
	slices.SortFunc(out.Interfaces, cloud.CompareInterfaces)
	return out
}

func toInterface(in types.NetworkInterface) v1alpha1.Interface {
	out := v1alpha1.Interface{
		ID:              str(in.NetworkInterfaceId),
		MACAddress:      strings.ToLower(str(in.MacAddress)),
		SubnetID:        str(in.SubnetId),
		SourceDestCheck: in.SourceDestCheck,
	}
	if in.Attachment != nil {
		out.DeviceIndex = sdk.ToInt32(in.Attachment.DeviceIndex)
		out.NetworkCardIndex = sdk.ToInt32(in.Attachment.NetworkCardIndex)
	}
	for _, group := range in.Groups {
		out.SecurityGroups = append(out.SecurityGroups, str(group.GroupId))
	}
	slices.Sort(out.SecurityGroups)
	out.Tags = toTags(in.TagSet)
	addIPv4(&out, in)
	addIPv6(&out, in)
	return out
}

func toTags(in []types.Tag) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for _, tag := range in {
		out[str(tag.Key)] = str(tag.Value)
	}
	return out
}

func addIPv4(out *v1alpha1.Interface, in types.NetworkInterface) {
	for _, address := range in.PrivateIpAddresses {
		addr, ok := parseAddr(address.PrivateIpAddress)
		switch {
		case !ok:
		case sdk.ToBool(address.Primary):
			out.PrimaryIPv4 = addr
		default:
			out.SecondaryIPv4 = append(out.SecondaryIPv4, addr)
		}
	}
	slices.SortFunc(out.SecondaryIPv4, netip.Addr.Compare)
	for _, prefix := range in.Ipv4Prefixes {
		if parsed, ok := parsePrefix(prefix.Ipv4Prefix); ok {
			out.IPv4Prefixes = append(out.IPv4Prefixes, parsed)
		}
	}
	slices.SortFunc(out.IPv4Prefixes, netip.Prefix.Compare)
}

// addIPv6 keeps EC2's order of the addresses that are not flagged as primary: ahead of all the one that EC2 gives as
// the interface's address, which is what its DHCPv6 server offers to the host.
func addIPv6(out *v1alpha1.Interface, in types.NetworkInterface) {
	first, _ := parseAddr(in.Ipv6Address)
	for _, address := range in.Ipv6Addresses {
		addr, ok := parseAddr(address.Ipv6Address)
		switch {
		case !ok:
		case sdk.ToBool(address.IsPrimaryIpv6):
			out.PrimaryIPv6 = addr
		case addr == first:
			out.SecondaryIPv6 = slices.Insert(out.SecondaryIPv6, 0, addr)
		default:
			out.SecondaryIPv6 = append(out.SecondaryIPv6, addr)
		}
	}
	for _, prefix := range in.Ipv6Prefixes {
		if parsed, ok := parsePrefix(prefix.Ipv6Prefix); ok {
			out.IPv6Prefixes = append(out.IPv6Prefixes, parsed)
		}
	}
	slices.SortFunc(out.IPv6Prefixes, netip.Prefix.Compare)
}

// instanceOf is the instance that an interface is attached to; empty for those of load balancers and the like.
func instanceOf(nic types.NetworkInterface) string {
	if nic.Attachment == nil {
		return ""
	}
	return str(nic.Attachment.InstanceId)
}

// allAddrs are the addresses of an interface, prefixes aside.
func allAddrs(nic types.NetworkInterface) []netip.Addr {
	var out []netip.Addr
	for _, address := range nic.PrivateIpAddresses {
		if addr, ok := parseAddr(address.PrivateIpAddress); ok {
			out = append(out, addr)
		}
	}
	for _, address := range nic.Ipv6Addresses {
		if addr, ok := parseAddr(address.Ipv6Address); ok {
			out = append(out, addr)
		}
	}
	return out
}

// toSubnet names the owner only of a subnet that is shared with the account.
func toSubnet(in types.Subnet, account string) v1alpha1.Subnet {
	out := v1alpha1.Subnet{ID: str(in.SubnetId), VPCID: str(in.VpcId), Zone: str(in.AvailabilityZone), Tags: toTags(in.Tags)}
	if owner := str(in.OwnerId); owner != account {
		out.OwnerID = owner
	}
	if cidr, ok := parsePrefix(in.CidrBlock); ok {
		out.CIDR, out.AvailableIPv4 = cidr, in.AvailableIpAddressCount
	}
	for _, block := range in.Ipv6CidrBlockAssociationSet {
		// A subnet has one network; those that were taken away are still listed for a while.
		if block.Ipv6CidrBlockState != nil && block.Ipv6CidrBlockState.State == types.SubnetCidrBlockStateCodeAssociated {
			out.IPv6CIDR, _ = parsePrefix(block.Ipv6CidrBlock)
		}
	}
	return out
}

func toVPC(in types.Vpc) v1alpha1.VPC {
	out := v1alpha1.VPC{ID: str(in.VpcId)}
	for _, block := range in.CidrBlockAssociationSet {
		if block.CidrBlockState != nil && block.CidrBlockState.State == types.VpcCidrBlockStateCodeAssociated {
			if prefix, ok := parsePrefix(block.CidrBlock); ok {
				out.CIDRs = append(out.CIDRs, prefix)
			}
		}
	}
	for _, block := range in.Ipv6CidrBlockAssociationSet {
		if block.Ipv6CidrBlockState != nil && block.Ipv6CidrBlockState.State == types.VpcCidrBlockStateCodeAssociated {
			if prefix, ok := parsePrefix(block.Ipv6CidrBlock); ok {
				out.IPv6CIDRs = append(out.IPv6CIDRs, prefix)
			}
		}
	}
	slices.SortFunc(out.CIDRs, netip.Prefix.Compare)
	slices.SortFunc(out.IPv6CIDRs, netip.Prefix.Compare)
	return out
}

// toInstanceType takes the limit of the default network card: with several cards, the instance's total counts those of
// all cards, but interfaces for pods sit on the default one.
func toInstanceType(in types.InstanceTypeInfo) v1alpha1.InstanceType {
	out := v1alpha1.InstanceType{
		Name:       string(in.InstanceType),
		Hypervisor: string(in.Hypervisor),
		BareMetal:  sdk.ToBool(in.BareMetal),
	}
	info := in.NetworkInfo
	if info == nil {
		return out
	}
	out.MaximumInterfaces = sdk.ToInt32(info.MaximumNetworkInterfaces)
	out.IPv4PerInterface = sdk.ToInt32(info.Ipv4AddressesPerInterface)
	out.IPv6PerInterface = sdk.ToInt32(info.Ipv6AddressesPerInterface)
	for _, card := range info.NetworkCards {
		if card.MaximumNetworkInterfaces != nil && sdk.ToInt32(card.NetworkCardIndex) == sdk.ToInt32(info.DefaultNetworkCardIndex) {
			out.MaximumInterfaces = *card.MaximumNetworkInterfaces
		}
	}
	return out
}

func parseAddr(s *string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(str(s))
	return addr, err == nil
}

func parsePrefix(s *string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(str(s))
	return prefix, err == nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

func byText() cmp.Option {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

func TestAssignIPv4(t *testing.T) {
	count := func(n int32) *ec2.AssignPrivateIpAddressesInput {
		return &ec2.AssignPrivateIpAddressesInput{SecondaryPrivateIpAddressCount: &n}
	}
	addrs := func(texts ...string) *ec2.AssignPrivateIpAddressesInput {
		return &ec2.AssignPrivateIpAddressesInput{PrivateIpAddresses: texts}
	}
	prefixCount := func(n int32) *ec2.AssignPrivateIpAddressesInput {
		return &ec2.AssignPrivateIpAddressesInput{Ipv4PrefixCount: &n}
	}
	prefixes := func(texts ...string) *ec2.AssignPrivateIpAddressesInput {
		return &ec2.AssignPrivateIpAddressesInput{Ipv4Prefixes: texts}
	}
	move := func(in *ec2.AssignPrivateIpAddressesInput) *ec2.AssignPrivateIpAddressesInput {
		in.AllowReassignment = aws.Bool(true)
		return in
	}
	tests := []struct {
		name string
		eni  string
		in   *ec2.AssignPrivateIpAddressesInput
		// want addresses and prefixes that were assigned, or else code and message.
		want          []string
		code, message string
	}{
		{name: "the lowest free addresses", eni: "eni-1", in: count(3), want: []string{"10.0.0.4", "10.0.0.5", "10.0.0.6"}},
		{name: "addresses as asked for", eni: "eni-1", in: addrs("10.0.0.20", "10.0.0.21"), want: []string{"10.0.0.20", "10.0.0.21"}},
		{name: "an address named twice", eni: "eni-1", in: addrs("10.0.0.20", "10.0.0.20"), want: []string{"10.0.0.20"}},
		{name: "the lowest free prefix", eni: "eni-4", in: prefixCount(2), want: []string{"10.0.1.32/28", "10.0.1.48/28"}},
		{name: "a prefix as asked for", eni: "eni-4", in: prefixes("10.0.1.64/28"), want: []string{"10.0.1.64/28"}},
		{name: "an address that it has already", eni: "eni-4", in: addrs("10.0.1.100"), want: nil},

		{name: "nothing asked for", eni: "eni-1", in: addrs(), code: "InvalidParameterValue",
			message: "You can and can only specify one of private-ip-addresses or secondary-private-ip-address-count, ipv4-prefix and ipv4-prefix-count."},
		{name: "two ways at once", eni: "eni-1", in: &ec2.AssignPrivateIpAddressesInput{
			SecondaryPrivateIpAddressCount: aws.Int32(1), Ipv4PrefixCount: aws.Int32(1)}, code: "InvalidParameterValue",
			message: "You can and can only specify one of private-ip-addresses or secondary-private-ip-address-count, ipv4-prefix and ipv4-prefix-count."},
		{name: "no such interface", eni: "eni-9", in: count(1), code: "InvalidNetworkInterfaceID.NotFound",
			message: "The networkInterface ID 'eni-9' does not exist"},
		{name: "not an interface's id", eni: "foo", in: count(1), code: "InvalidNetworkInterfaceID.Malformed",
			message: `Invalid id: "foo" (expecting "eni-...")`},
		{name: "more than the type's slots", eni: "eni-1", in: count(10), code: "PrivateIpAddressLimitExceeded",
			message: "Number of private addresses will exceed limit."},
		{name: "more prefixes than slots, of which an address takes one", eni: "eni-4", in: prefixCount(8),
			code: "PrivateIpAddressLimitExceeded", message: "Number of private addresses will exceed limit."},
		{name: "prefixes without Nitro", eni: "eni-2", in: prefixCount(1), code: "UnsupportedOperation",
			message: "Prefixes are not supported on instance type t2.micro: it is not built on the Nitro System."},
		{name: "room, but not in a row", eni: "eni-1", in: prefixCount(1), code: "InsufficientCidrBlocks",
			message: "The specified subnet does not have enough free cidr blocks to satisfy the request."},
		{name: "no room", eni: "eni-1", in: prefixCount(2), code: "InvalidParameterValue",
			message: "There aren't sufficient free Ipv4 addresses or prefixes"},
		{name: "a prefix that is not aligned", eni: "eni-4", in: prefixes("10.0.1.40/28"), code: "InvalidParameterValue",
			message: "invalid value for parameter prefix: 10.0.1.40/28"},
		{name: "a prefix of another length", eni: "eni-4", in: prefixes("10.0.1.32/27"), code: "InvalidParameterValue",
			message: "invalid value for parameter prefix: 10.0.1.32/27"},
		{name: "a prefix with AWS's own addresses", eni: "eni-4", in: prefixes("10.0.1.0/28"), code: "InsufficientCidrBlocks",
			message: "The specified subnet does not have enough free cidr blocks to satisfy the request."},
		{name: "a prefix in use", eni: "eni-4", in: prefixes("10.0.1.16/28"), code: "InsufficientCidrBlocks",
			message: "The specified subnet does not have enough free cidr blocks to satisfy the request."},
		{name: "an address in another subnet", eni: "eni-1", in: addrs("10.0.1.4"), code: "InvalidParameterValue",
			message: "Address does not fall within the subnet's address range"},
		{name: "one of AWS's addresses", eni: "eni-1", in: addrs("10.0.0.3"), code: "InvalidParameterValue",
			message: "Address 10.0.0.3 is in subnet's reserved address range"},
		{name: "the last address", eni: "eni-1", in: addrs("10.0.0.31"), code: "InvalidParameterValue",
			message: "Address 10.0.0.31 is in subnet's reserved address range"},
		{name: "not an address", eni: "eni-1", in: addrs("ten"), code: "InvalidParameterValue",
			message: "invalid value for parameter address: ten"},
		{name: "another's primary address", eni: "eni-1", in: move(addrs("10.0.0.11")), code: "InvalidParameterValue",
			message: "[10.0.0.11] assigned, but move is not allowed."},
		{name: "an address of a prefix", eni: "eni-4", in: addrs("10.0.1.17", "10.0.1.50"), code: "InvalidParameterValue",
			message: "[10.0.1.17] assigned, but move is not allowed."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, client := start(t, small())
			tt.in.NetworkInterfaceId = &tt.eni
			out, err := client.AssignPrivateIpAddresses(context.Background(), tt.in)
			gotCode, gotMessage := code(t, err)
			if gotCode != tt.code || gotMessage != tt.message {
				t.Fatalf("got %q %q, want %q %q", gotCode, gotMessage, tt.code, tt.message)
			}
			if err != nil {
				if tt.eni == "eni-1" {
					if diff := cmp.Diff(small().Nodes[0].Interfaces[0], interfaceOf(t, server, "eni-1"), byText()); diff != "" {
						t.Errorf("a refused call changed the interface (-want +got):\n%s", diff)
					}
				}
				return
			}
			var got []string
			for _, a := range out.AssignedPrivateIpAddresses {
				got = append(got, *a.PrivateIpAddress)
			}
			for _, p := range out.AssignedIpv4Prefixes {
				got = append(got, *p.Ipv4Prefix)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("assigned (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSubnetRunsOut takes a /27's last address.
func TestSubnetRunsOut(t *testing.T) {
	inv := small()
	inv.InstanceTypes = []v1alpha1.InstanceType{{Name: "m5.large", Hypervisor: "nitro", MaximumInterfaces: 3, IPv4PerInterface: 100, IPv6PerInterface: 100}}
	_, client := start(t, inv)
	assign := func(n int32) error {
		_, err := client.AssignPrivateIpAddresses(context.Background(), &ec2.AssignPrivateIpAddressesInput{
			NetworkInterfaceId: aws.String("eni-1"), SecondaryPrivateIpAddressCount: &n})
		return err
	}
	free := 32 - 5 - 3
	if err := assign(int32(free)); err != nil {
		t.Fatal(err)
	}
	if got, message := code(t, assign(1)); got != "InsufficientFreeAddressesInSubnet" {
		t.Errorf("got %s: %s", got, message)
	}
	subnets, err := client.DescribeSubnets(context.Background(), &ec2.DescribeSubnetsInput{SubnetIds: []string{"subnet-tiny"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := *subnets.Subnets[0].AvailableIpAddressCount; n != 0 {
		t.Errorf("%d addresses are said to be free", n)
	}
}

func TestMoveAddress(t *testing.T) {
	inv := small()
	inv.Nodes[0].Interfaces[0].SubnetID = "subnet-wide"
	inv.Nodes[0].Interfaces[0].PrimaryIPv4 = addr("10.0.1.9")
	server, client := start(t, inv)
	in := &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: aws.String("eni-1"), PrivateIpAddresses: []string{"10.0.1.100"}}
	_, err := client.AssignPrivateIpAddresses(context.Background(), in)
	if got, message := code(t, err); message != "[10.0.1.100] assigned, but move is not allowed." {
		t.Errorf("without leave to move: %s %s", got, message)
	}
	in.AllowReassignment = aws.Bool(true)
	if _, err := client.AssignPrivateIpAddresses(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	if got := interfaceOf(t, server, "eni-4").SecondaryIPv4; len(got) != 0 {
		t.Errorf("the old interface still has %v", got)
	}
	if got := interfaceOf(t, server, "eni-1").SecondaryIPv4; len(got) != 1 {
		t.Errorf("the new interface has %v", got)
	}
}

func TestUnassignIPv4(t *testing.T) {
	tests := []struct {
		name            string
		addrs, prefixes []string
		code, message   string
	}{
		{name: "an address and a prefix", addrs: []string{"10.0.1.100"}, prefixes: []string{"10.0.1.16/28"}},
		{name: "nothing", code: "MissingParameter", message: "The request must contain the parameter privateIpAddress"},
		{name: "the primary address", addrs: []string{"10.0.1.13"}, code: "InvalidParameterValue",
			message: "Value (10.0.1.13) for parameter privateIpAddress is invalid. The primary IP address of an interface cannot be unassigned."},
		{name: "another's address", addrs: []string{"10.0.1.100", "10.0.1.101"}, code: "InvalidParameterValue",
			message: "Some of the specified addresses are not assigned to interface eni-4"},
		{name: "another's prefix", prefixes: []string{"10.0.1.32/28"}, code: "InvalidParameterValue",
			message: "Some of the specified addresses are not assigned to interface eni-4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, client := start(t, small())
			_, err := client.UnassignPrivateIpAddresses(context.Background(), &ec2.UnassignPrivateIpAddressesInput{
				NetworkInterfaceId: aws.String("eni-4"), PrivateIpAddresses: tt.addrs, Ipv4Prefixes: tt.prefixes})
			if gotCode, gotMessage := code(t, err); gotCode != tt.code || gotMessage != tt.message {
				t.Fatalf("got %q %q, want %q %q", gotCode, gotMessage, tt.code, tt.message)
			}
			nic := interfaceOf(t, server, "eni-4")
			if left := len(nic.SecondaryIPv4) + len(nic.IPv4Prefixes); (left == 0) != (err == nil) {
				t.Errorf("%d addresses and prefixes are left after %v", left, err)
			}
		})
	}
}

func TestAssignIPv6(t *testing.T) {
	tests := []struct {
		name          string
		eni           string
		in            ec2.AssignIpv6AddressesInput
		want          []string
		code, message string
	}{
		{name: "the lowest free addresses", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6AddressCount: aws.Int32(2)},
			want: []string{"2001:db8:0:1::4", "2001:db8:0:1::5"}},
		{name: "an address as asked for", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6Addresses: []string{"2001:db8:0:1::abcd"}},
			want: []string{"2001:db8:0:1::abcd"}},
		{name: "the lowest free prefixes", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6PrefixCount: aws.Int32(2)},
			want: []string{"2001:db8:0:1:1::/80", "2001:db8:0:1:2::/80"}},
		{name: "a prefix as asked for", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6Prefixes: []string{"2001:db8:0:1:c57d::/80"}},
			want: []string{"2001:db8:0:1:c57d::/80"}},
		{name: "no IPv6 in the subnet", eni: "eni-1", in: ec2.AssignIpv6AddressesInput{Ipv6AddressCount: aws.Int32(1)},
			code: "InvalidParameterValue", message: "The subnet subnet-tiny does not have an IPv6 CIDR block"},
		{name: "more than the type's", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6AddressCount: aws.Int32(10)},
			code: "PrivateIpAddressLimitExceeded", message: "Number of private addresses will exceed limit."},
		{name: "one of AWS's addresses", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6Addresses: []string{"2001:db8:0:1::1"}},
			code: "InvalidParameterValue", message: "Address 2001:db8:0:1::1 is in subnet's reserved address range"},
		{name: "an address in another subnet", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6Addresses: []string{"2001:db8:0:2::9"}},
			code: "InvalidParameterValue", message: "Address does not fall within the subnet's address range"},
		{name: "a prefix with addresses in it", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6Prefixes: []string{"2001:db8:0:1::/80"}},
			code: "InsufficientCidrBlocks", message: "The specified subnet does not have enough free cidr blocks to satisfy the request."},
		{name: "a prefix of another length", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6Prefixes: []string{"2001:db8:0:1:2::/96"}},
			code: "InvalidParameterValue", message: "invalid value for parameter prefix: 2001:db8:0:1:2::/96"},
		{name: "both ways", eni: "eni-4", in: ec2.AssignIpv6AddressesInput{Ipv6AddressCount: aws.Int32(1), Ipv6PrefixCount: aws.Int32(1)},
			code: "InvalidParameterValue", message: "You can and can only specify one of ipv6-addresses or ipv6-addresses-count, ipv6-prefix and ipv6-prefix-count."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, client := start(t, small())
			tt.in.NetworkInterfaceId = &tt.eni
			out, err := client.AssignIpv6Addresses(context.Background(), &tt.in)
			if gotCode, gotMessage := code(t, err); gotCode != tt.code || gotMessage != tt.message {
				t.Fatalf("got %q %q, want %q %q", gotCode, gotMessage, tt.code, tt.message)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tt.want, append(out.AssignedIpv6Addresses, out.AssignedIpv6Prefixes...)); diff != "" {
				t.Errorf("assigned (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnassignIPv6(t *testing.T) {
	server, client := start(t, small())
	ctx := context.Background()
	if _, err := client.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: aws.String("eni-4"), Ipv6PrefixCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	in := &ec2.UnassignIpv6AddressesInput{NetworkInterfaceId: aws.String("eni-4"),
		Ipv6Addresses: []string{"2001:db8:0:1::13"}, Ipv6Prefixes: []string{"2001:db8:0:1:1::/80"}}
	flag := func(flagged bool) {
		_ = server.Update(func(w *ec2sim.World) error { w.Interfaces["eni-4"].FlagPrimaryIPv6 = flagged; return nil })
	}
	flag(true)
	_, err := client.UnassignIpv6Addresses(ctx, in)
	if got, message := code(t, err); got != "InvalidParameterValue" {
		t.Errorf("unassigning what is flagged as primary: %s %s", got, message)
	}
	flag(false)
	out, err := client.UnassignIpv6Addresses(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in.Ipv6Prefixes, out.UnassignedIpv6Prefixes); diff != "" {
		t.Error(diff)
	}
	_, err = client.UnassignIpv6Addresses(ctx, in)
	if _, message := code(t, err); message != "Some of the specified addresses are not assigned to interface eni-4" {
		t.Errorf("the second time: %s", message)
	}
}

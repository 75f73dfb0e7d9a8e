// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
)

// TestReservationsIPv6: prefixes come from what is reserved for them first, and addresses from neither reservation.
func TestReservationsIPv6(t *testing.T) {
	inv := small()
	inv.SubnetCIDRReservations = []json.RawMessage{
		json.RawMessage(`{"SubnetCidrReservationId": "scr-1", "SubnetId": "subnet-wide", "Cidr": "2001:db8:0:1:70::/79", "ReservationType": "prefix"}`),
		json.RawMessage(`{"SubnetCidrReservationId": "scr-2", "SubnetId": "subnet-wide", "Cidr": "2001:db8:0:1::/112", "ReservationType": "explicit"}`),
	}
	_, client := start(t, inv)
	assign := func(in ec2.AssignIpv6AddressesInput, want ...string) {
		t.Helper()
		in.NetworkInterfaceId = aws.String("eni-4")
		out, err := client.AssignIpv6Addresses(t.Context(), &in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, append(out.AssignedIpv6Addresses, out.AssignedIpv6Prefixes...)); diff != "" {
			t.Errorf("assigned (-want +got):\n%s", diff)
		}
	}
	assign(ec2.AssignIpv6AddressesInput{Ipv6AddressCount: aws.Int32(1)}, "2001:db8:0:1::1:0")
	assign(ec2.AssignIpv6AddressesInput{Ipv6Addresses: []string{"2001:db8:0:1::77"}}, "2001:db8:0:1::77")
	assign(ec2.AssignIpv6AddressesInput{Ipv6PrefixCount: aws.Int32(3)}, "2001:db8:0:1:70::/80", "2001:db8:0:1:71::/80", "2001:db8:0:1:1::/80")
}

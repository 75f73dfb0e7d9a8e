// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"pgregory.net/rapid"

	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// TestNothingIsHeldTwice assigns and unassigns at random, and looks after each call that every address has one holder,
// that prefixes are aligned and inside of their subnet, and that no interface has more than its type allows.
func TestNothingIsHeldTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inv := small()
		inv.Nodes[0].Interfaces[0].SubnetID, inv.Nodes[0].Interfaces[0].PrimaryIPv4 = "subnet-wide", addr("10.0.1.9")
		server, client := start(t, inv)
		defer server.Close()
		for range rapid.IntRange(1, 15).Draw(rt, "calls") {
			act(rt, client)
			if err := server.Update(checkWorld); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// act makes one call, which may be refused.
func act(rt *rapid.T, client *ec2.Client) {
	ctx := context.Background()
	eni := aws.String(rapid.SampledFrom([]string{"eni-1", "eni-4"}).Draw(rt, "interface"))
	addrs := []string{fmt.Sprintf("10.0.1.%d", rapid.IntRange(0, 60).Draw(rt, "address"))}
	blocks := []string{fmt.Sprintf("10.0.1.%d/28", 16*rapid.IntRange(0, 4).Draw(rt, "prefix"))}
	count := aws.Int32(rapid.Int32Range(1, 4).Draw(rt, "count"))
	switch rapid.IntRange(0, 6).Draw(rt, "action") {
	case 0:
		_, _ = client.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: eni, PrivateIpAddresses: addrs, AllowReassignment: aws.Bool(true)})
	case 1:
		_, _ = client.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: eni, SecondaryPrivateIpAddressCount: count})
	case 2:
		_, _ = client.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: eni, Ipv4Prefixes: blocks})
	case 3:
		_, _ = client.AssignPrivateIpAddresses(ctx, &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: eni, Ipv4PrefixCount: count})
	case 4:
		_, _ = client.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: eni, PrivateIpAddresses: addrs})
	case 5:
		_, _ = client.UnassignPrivateIpAddresses(ctx, &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: eni, Ipv4Prefixes: blocks})
	case 6:
		_, _ = client.AssignIpv6Addresses(ctx, &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: eni, Ipv6PrefixCount: count})
	}
}

func checkWorld(w *ec2sim.World) error {
	held := map[netip.Addr]string{}
	for id, nic := range w.Interfaces {
		subnet := w.Subnets[nic.SubnetID]
		all := append([]netip.Addr{nic.PrimaryIPv4}, nic.SecondaryIPv4...)
		slots := len(all) + len(nic.IPv4Prefixes)
		for _, block := range nic.IPv4Prefixes {
			if block != block.Masked() || !subnet.CIDR.Overlaps(block) {
				return fmt.Errorf("%s has %s", id, block)
			}
			for a := block.Addr(); block.Contains(a); a = a.Next() {
				all = append(all, a)
			}
		}
		for _, block := range nic.IPv6Prefixes {
			all = append(all, block.Addr())
			if block.Bits() != 80 || !subnet.IPv6CIDR.Overlaps(block) {
				return fmt.Errorf("%s has %s", id, block)
			}
		}
		for _, a := range all {
			if held[a] != "" {
				return fmt.Errorf("%s and %s both have %s", held[a], id, a)
			}
			held[a] = id
		}
		if limit := w.Types[w.Instances[nic.InstanceID].Type].IPv4PerInterface; slots > limit {
			return fmt.Errorf("%s has %d of %d slots", id, slots, limit)
		}
	}
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// probeSize is how many values one probe asks for. EC2 takes 200 filter values in a call, over all filters.
const probeSize = 190

// sample is what one round of probing asks for: each list at most probeSize long.
type sample struct {
	instanceIDs []string
	ipv4, ipv6  []netip.Addr
}

// takeSample takes the next nodes out of pending (indexes into nodes) and returns what is left. A node with a
// providerID is asked for by it; others by their first address, IPv4 if they have one.
func takeSample(nodes []v1alpha1.Node, pending []int) (s sample, left []int) {
	for _, i := range pending {
		taken := true
		id, named := cloud.ParseProviderID(nodes[i].ProviderID)
		switch addr := firstAddr(nodes[i].InternalIPs); {
		case named && id.InstanceID == "", !named && !addr.IsValid():
			// Nothing to ask for: the node stays without an instance.
		case named:
			taken = add(&s.instanceIDs, id.InstanceID)
		case addr.Is4():
			taken = add(&s.ipv4, addr)
		default:
			taken = add(&s.ipv6, addr)
		}
		if !taken {
			left = append(left, i)
		}
	}
	return s, left
}

func add[T comparable](list *[]T, value T) bool {
	if slices.Contains(*list, value) {
		return true
	}
	if len(*list) == probeSize {
		return false
	}
	*list = append(*list, value)
	return true
}

// firstAddr is a node's first IPv4 address, else its first address.
func firstAddr(addrs []netip.Addr) netip.Addr {
	for _, addr := range addrs {
		if addr.Unmap().Is4() {
			return addr.Unmap()
		}
	}
	if len(addrs) > 0 {
		return addrs[0]
	}
	return netip.Addr{}
}

// probe finds the VPCs of a sample, in at most three calls.
func (r ec2Reader) probe(ctx context.Context, s sample) ([]string, error) {
	var byID, by4, by6 []types.NetworkInterface
	err := parallel(
		func() (err error) {
			// One interface of each instance is enough to know its VPC.
			byID, err = r.interfaces(ctx, "attachment.instance-id", s.instanceIDs, filter("attachment.device-index", "0"))
			return err
		},
		func() (err error) {
			by4, err = r.interfaces(ctx, "addresses.private-ip-address", texts(s.ipv4), attached())
			return err
		},
		func() (err error) {
			by6, err = r.interfaces(ctx, "ipv6-addresses.ipv6-address", texts(s.ipv6), attached())
			return err
		},
	)
	if err != nil {
		return nil, err
	}
	certain := map[string]bool{}
	for _, nic := range byID {
		certain[str(nic.VpcId)] = true
	}
	return chooseVPCs(certain, vpcsByAddr(append(by4, by6...), append(slices.Clone(s.ipv4), s.ipv6...))), nil
}

func texts(addrs []netip.Addr) []string {
	out := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		out = append(out, addr.String())
	}
	return out
}

// vpcsByAddr says in which VPCs each of the addresses is on an instance's interface.
func vpcsByAddr(nics []types.NetworkInterface, addrs []netip.Addr) map[netip.Addr][]string {
	asked := make(map[netip.Addr]bool, len(addrs))
	for _, addr := range addrs {
		asked[addr] = true
	}
	out := map[netip.Addr][]string{}
	for _, nic := range nics {
		if instanceOf(nic) == "" {
			continue
		}
		for _, addr := range allAddrs(nic) {
			if asked[addr] && !slices.Contains(out[addr], str(nic.VpcId)) {
				out[addr] = append(out[addr], str(nic.VpcId))
			}
		}
	}
	return out
}

// chooseVPCs adds to the certain VPCs those that most of the addresses are in. Where networks overlap, an address can
// be in several VPCs: it counts for the one that holds most of the other addresses; where two hold equally many of
// them, an address in both counts for neither.
func chooseVPCs(certain map[string]bool, vpcsOf map[netip.Addr][]string) []string {
	chosen := maps.Clone(certain)
	rest := maps.Clone(vpcsOf)
	for {
		maps.DeleteFunc(rest, func(_ netip.Addr, vpcs []string) bool {
			return slices.ContainsFunc(vpcs, func(vpc string) bool { return chosen[vpc] })
		})
		best := most(rest)
		if len(best) == 0 {
			return slices.Sorted(maps.Keys(chosen))
		}
		unclear := func(_ netip.Addr, vpcs []string) bool {
			return len(slices.DeleteFunc(slices.Clone(vpcs), func(vpc string) bool { return !best[vpc] })) > 1
		}
		before := len(rest)
		if maps.DeleteFunc(rest, unclear); len(rest) == before {
			maps.Copy(chosen, best)
		}
	}
}

// most returns the VPCs that hold the greatest number of addresses.
func most(vpcsOf map[netip.Addr][]string) map[string]bool {
	votes := map[string]int{}
	for _, vpcs := range vpcsOf {
		for _, vpc := range vpcs {
			votes[vpc]++
		}
	}
	best := map[string]bool{}
	top := 0
	for vpc, count := range votes {
		if count > top {
			top = count
			clear(best)
		}
		if count == top {
			best[vpc] = true
		}
	}
	return best
}

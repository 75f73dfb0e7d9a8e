// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

type breaker = func(scene) error

// breakers by rule. Those of rules without an error look at what EC2 does, and return none.
func breakers() map[string]breaker {
	out := map[string]breaker{}
	for _, group := range []map[string]breaker{requestBreakers(), readBreakers(), addressBreakers(), createBreakers(), attachBreakers()} {
		maps.Copy(out, group)
	}
	return out
}

func requestBreakers() map[string]breaker {
	vpcs := func(s scene) error {
		_, err := s.client.DescribeVpcs(s.t.Context(), &ec2.DescribeVpcsInput{})
		return err
	}
	return map[string]breaker{
		"credentials-needed":  func(s scene) error { return s.raw("Action=DescribeVpcs&Version=2016-11-15", false) },
		"credentials-known":   func(s scene) error { s.server.SetCredentials(ec2sim.Unknown); return vpcs(s) },
		"credentials-current": func(s scene) error { s.server.SetCredentials(ec2sim.Expired); return vpcs(s) },
		"throttle": func(s scene) error {
			s.clock()
			s.server.Throttle()
			for range 50 {
				if err := vpcs(s); err != nil {
					return fmt.Errorf("too early: %w", err)
				}
			}
			return vpcs(s)
		},
		"permission": func(s scene) error {
			s.server.Deny("AssignPrivateIpAddresses")
			return s.describe("AssignPrivateIpAddresses", "&DryRun=true&Colour=red")
		},
		"dry-run":          func(s scene) error { return s.describe("AssignPrivateIpAddresses", "&DryRun=true") },
		"action-needed":    func(s scene) error { return s.raw("Version=2016-11-15", true) },
		"action-known":     func(s scene) error { return s.describe("MakeTea", "") },
		"version-known":    func(s scene) error { return s.raw("Action=DescribeVpcs&Version=1999-01-01", true) },
		"form":             func(s scene) error { return s.raw("Action=%zz", true) },
		"parameter-known":  func(s scene) error { return s.describe("DescribeVpcs", "&Colour=red") },
		"parameter-needed": func(s scene) error { return s.describe("AttachNetworkInterface", "&NetworkInterfaceId=eni-1") },
	}
}

func readBreakers() map[string]breaker {
	missing := func(action, parameter, id string) breaker {
		return func(s scene) error { return s.describe(action, "&"+parameter+".1="+id) }
	}
	return map[string]breaker{
		"page-size":          func(s scene) error { return s.describe("DescribeRouteTables", "&MaxResults=101") },
		"page-size-of-types": func(s scene) error { return s.describe("DescribeInstanceTypes", "&MaxResults=101") },
		"page-or-ids":        func(s scene) error { return s.describe("DescribeSubnets", "&MaxResults=5&SubnetId.1=subnet-far") },
		"page-token":         func(s scene) error { return s.describe("DescribeSubnets", "&NextToken=garbage") },
		"filter-known": func(s scene) error {
			return s.describe("DescribeNatGateways", "&Filter.1.Name=colour&Filter.1.Value.1=red")
		},
		"filter-values":           func(s scene) error { return s.describe("DescribeVpcs", manyValues()) },
		"ids-exist":               missing("DescribeInstances", "InstanceId", "i-9"),
		"subnet-exists":           missing("DescribeSubnets", "SubnetId", "subnet-9"),
		"vpc-exists":              missing("DescribeVpcs", "VpcId", "vpc-9"),
		"type-exists":             missing("DescribeInstanceTypes", "InstanceType", "z9.tiny"),
		"route-table-exists":      missing("DescribeRouteTables", "RouteTableId", "rtb-9"),
		"group-exists":            missing("DescribeSecurityGroups", "GroupId", "sg-9"),
		"acl-exists":              missing("DescribeNetworkAcls", "NetworkAclId", "acl-9"),
		"nat-exists":              missing("DescribeNatGateways", "NatGatewayId", "nat-9"),
		"internet-gateway-exists": missing("DescribeInternetGateways", "InternetGatewayId", "igw-9"),
		"egress-only-exists":      missing("DescribeEgressOnlyInternetGateways", "EgressOnlyInternetGatewayId", "eigw-9"),
		"peering-exists":          missing("DescribeVpcPeeringConnections", "VpcPeeringConnectionId", "pcx-9"),
		"transit-exists":          missing("DescribeTransitGatewayAttachments", "TransitGatewayAttachmentIds", "tgw-attach-9"),
		"eventual": func(s scene) error {
			count := func() int {
				out, err := s.client.DescribeNetworkInterfaces(s.t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-4"}})
				if err != nil {
					s.t.Fatal(err)
				}
				return len(out.NetworkInterfaces[0].Ipv4Prefixes)
			}
			s.server.Freeze("DescribeNetworkInterfaces")
			err := s.prefixes("eni-4", 1)
			s.want(count(), 1)
			s.server.Thaw()
			s.want(count(), 2)
			s.server.Lag(time.Minute)
			pass := s.clock()
			err2 := s.prefixes("eni-4", 1)
			s.want(count(), 2)
			pass(time.Minute)
			s.want(count(), 3)
			if err == nil {
				err = err2
			}
			return err
		},
	}
}

func manyValues() string {
	var b strings.Builder
	b.WriteString("&Filter.1.Name=vpc-id")
	for i := range 201 {
		fmt.Fprintf(&b, "&Filter.1.Value.%d=vpc-%d", i+1, i)
	}
	return b.String()
}

func addressBreakers() map[string]breaker {
	held := func(s scene) v1alpha1.Interface { return interfaceOf(s.t, s.server, "eni-5") }
	return map[string]breaker{
		"one-way": func(s scene) error { return s.addrs("eni-4") },
		"slots":   func(s scene) error { return s.prefixes("eni-4", 8) },
		"nitro":   func(s scene) error { return s.prefixes("eni-2", 1) },
		"ipv6-type": func(s scene) error {
			s.update(func(w *ec2sim.World) { w.Interfaces["eni-3"].SubnetID = "subnet-wide" })
			return s.six("eni-3")
		},
		"reserved":  func(s scene) error { return s.addrs("eni-4", "10.0.1.255") },
		"in-subnet": func(s scene) error { return s.addrs("eni-4", "10.0.2.9") },
		"move":      func(s scene) error { return s.addrs("eni-6", "10.0.1.100") },
		"prefix-form": func(s scene) error {
			return s.assign("eni-4", func(in *ec2.AssignPrivateIpAddressesInput) { in.Ipv4Prefixes = []string{"10.0.1.40/28"} })
		},
		"prefix-in-a-row": func(s scene) error {
			s.update(func(w *ec2sim.World) { // one address in each /28: hundreds are free, and no prefix
				for i := range 16 {
					nic := ec2sim.NetworkInterface{Interface: v1alpha1.Interface{ID: fmt.Sprintf("eni-x%d", i), SubnetID: "subnet-far",
						PrimaryIPv4: netip.AddrFrom4([4]byte{10, 0, 2, byte(16*i + 8)})}}
					if err := w.AddInterface(nic); err != nil {
						s.t.Error(err)
					}
				}
				w.Interfaces["eni-4"].SubnetID = "subnet-far"
			})
			out, err := s.client.DescribeSubnets(s.t.Context(), &ec2.DescribeSubnetsInput{SubnetIds: []string{"subnet-far"}})
			if err != nil || *out.Subnets[0].AvailableIpAddressCount < 200 {
				s.t.Errorf("too few are free: %v %v", out, err)
			}
			return s.prefixes("eni-4", 1)
		},
		"prefix-room": func(s scene) error { return s.prefixes("eni-1", 2) },
		"subnet-room": func(s scene) error {
			s.update(func(w *ec2sim.World) { w.Interfaces["eni-6"].SubnetID = "subnet-tiny" })
			return s.assign("eni-6", func(in *ec2.AssignPrivateIpAddressesInput) { in.SecondaryPrivateIpAddressCount = aws.Int32(30) })
		},
		"reservation-prefix": func(s scene) error {
			err := s.prefixes("eni-5", 5)
			s.want(held(s).IPv4Prefixes, "[10.0.3.64/28 10.0.3.80/28 10.0.3.96/28 10.0.3.112/28 10.0.3.16/28]")
			return err
		},
		"reservation-address": func(s scene) error {
			s.update(func(w *ec2sim.World) { w.Interfaces["eni-5"].InstanceID = "" }) // no limit of a type
			err := s.assign("eni-5", func(in *ec2.AssignPrivateIpAddressesInput) { in.SecondaryPrivateIpAddressCount = aws.Int32(100) })
			s.want(slices.ContainsFunc(held(s).SecondaryIPv4, func(a netip.Addr) bool {
				return prefix("10.0.3.64/26").Contains(a) || prefix("10.0.3.128/26").Contains(a)
			}), false)
			return err
		},
		"reservation-explicit": func(s scene) error {
			err := s.addrs("eni-5", "10.0.3.130")
			s.want(held(s).SecondaryIPv4, "[10.0.3.130]")
			return err
		},
		"unassign-held":    func(s scene) error { return s.unassign("eni-4", "10.0.1.101") },
		"unassign-primary": func(s scene) error { return s.unassign("eni-4", "10.0.1.13") },
	}
}

func createBreakers() map[string]breaker {
	tag := func(s scene, id string, keys ...string) error {
		in := &ec2.CreateTagsInput{Resources: []string{id}}
		for _, key := range keys {
			in.Tags = append(in.Tags, types.Tag{Key: &key, Value: aws.String("x")})
		}
		_, err := s.client.CreateTags(s.t.Context(), in)
		return err
	}
	return map[string]breaker{
		"interface-exists": func(s scene) error { return s.addrs("eni-99", "10.0.1.9") },
		"interface-id":     func(s scene) error { return s.addrs("foo", "10.0.1.9") },
		"address-in-use": func(s scene) error {
			_, err := s.create("subnet-wide", func(in *ec2.CreateNetworkInterfaceInput) { in.PrivateIpAddress = aws.String("10.0.1.13") })
			return err
		},
		"idempotent": func(s scene) error {
			token := func(in *ec2.CreateNetworkInterfaceInput) { in.ClientToken = aws.String("once") }
			s.want(s.created("subnet-wide", token), s.created("subnet-wide", token))
			_, err := s.create("subnet-far", token)
			return err
		},
		"delete-free": func(s scene) error {
			_, err := s.client.DeleteNetworkInterface(s.t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: aws.String("eni-4")})
			return err
		},
		"modify-one": func(s scene) error {
			_, err := s.client.ModifyNetworkInterfaceAttribute(s.t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: aws.String("eni-4"),
				Description: &types.AttributeValue{Value: aws.String("x")}, Groups: []string{"sg-1"}})
			return err
		},
		"tags-per-resource": func(s scene) error {
			var keys []string
			for i := range 51 {
				keys = append(keys, fmt.Sprint(i))
			}
			return tag(s, "eni-4", keys...)
		},
		"tags-of-aws":  func(s scene) error { return tag(s, "eni-4", "aws:mine") },
		"tags-of-what": func(s scene) error { return tag(s, "tea-1", "x") },
	}
}

func attachBreakers() map[string]breaker {
	zero := aws.Int32(0)
	attach := func(s scene, eni, instance string, device int32, card *int32) error {
		_, err := s.attach(eni, instance, device, card)
		return err
	}
	return map[string]breaker{
		"attached-once": func(s scene) error { return attach(s, "eni-1", "i-4", 1, zero) },
		"instance-state": func(s scene) error {
			s.update(func(w *ec2sim.World) { w.Instances["i-4"].State = "stopping" })
			return attach(s, s.created("subnet-wide", nil), "i-4", 1, zero)
		},
		"same-zone":   func(s scene) error { return attach(s, s.created("subnet-far", nil), "i-4", 1, zero) },
		"card-exists": func(s scene) error { return attach(s, s.created("subnet-wide", nil), "i-4", 1, aws.Int32(7)) },
		"efa-stopped": func(s scene) error {
			return attach(s, s.created("subnet-wide", func(in *ec2.CreateNetworkInterfaceInput) { in.InterfaceType = "efa" }), "i-4", 1, zero)
		},
		"device-free": func(s scene) error { return attach(s, s.created("subnet-wide", nil), "i-4", 0, zero) },
		"device-without-card": func(s scene) error {
			id := s.created("subnet-wide", nil)
			err := attach(s, id, "i-6", 1, nil)
			s.want(attach(s, id, "i-6", 1, zero), nil)
			return err
		},
		"interfaces-per-card": func(s scene) error {
			for device := int32(1); device < 3; device++ {
				if err := attach(s, s.created("subnet-wide", nil), "i-4", device, zero); err != nil {
					return fmt.Errorf("too early: %w", err)
				}
			}
			return attach(s, s.created("subnet-wide", nil), "i-4", 3, zero)
		},
		"slots-at-attach": func(s scene) error {
			id := s.created("subnet-wide", func(in *ec2.CreateNetworkInterfaceInput) { in.SecondaryPrivateIpAddressCount = aws.Int32(20) })
			return attach(s, id, "i-4", 1, zero)
		},
		"attach-takes-time": func(s scene) error {
			id := s.created("subnet-wide", nil)
			pass := s.clock()
			s.server.AttachTakes(15 * time.Second)
			attachment, err := s.attach(id, "i-4", 1, zero)
			if err != nil {
				return err
			}
			s.want(s.status(id), "attaching")
			pass(15 * time.Second)
			s.want(s.status(id), "attached")
			err = s.detach(attachment)
			s.want(s.status(id), "detaching")
			pass(15 * time.Second)
			s.want(s.status(id), "available")
			return err
		},
		"detach-primary": func(s scene) error { return s.detach("eni-attach-4") },
		"detach-others": func(s scene) error {
			s.update(func(w *ec2sim.World) {
				nic := ec2sim.NetworkInterface{Interface: v1alpha1.Interface{ID: "eni-elb", SubnetID: "subnet-far"}, Owner: "amazon-elb", AttachmentStatus: "attached"}
				if err := w.AddInterface(nic); err != nil {
					s.t.Error(err)
				}
			})
			return s.detach("eni-attach-elb")
		},
		"detach-twice": func(s scene) error {
			s.server.AttachTakes(time.Hour)
			s.want(s.detach("eni-attach-6b"), nil)
			return s.detach("eni-attach-6b")
		},
		"attachment-exists": func(s scene) error { return s.detach("eni-attach-99") },
	}
}

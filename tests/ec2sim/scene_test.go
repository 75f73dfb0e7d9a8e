// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
)

// scene is a simulator of the small world and more, with a client.
type scene struct {
	t      *testing.T
	server *ec2sim.Server
	client *ec2.Client
}

// ruled is the small world, whose fourth node has a second zone beside it, and a subnet with reservations.
func ruled() v1alpha1.Inventory {
	inv := small()
	inv.Subnets = append(inv.Subnets,
		v1alpha1.Subnet{ID: "subnet-far", VPCID: "vpc-1", Zone: "eu-central-1b", CIDR: prefix("10.0.2.0/24")},
		v1alpha1.Subnet{ID: "subnet-set", VPCID: "vpc-1", Zone: "eu-central-1a", CIDR: prefix("10.0.3.0/24")})
	inv.Nodes = append(inv.Nodes,
		v1alpha1.Node{Name: "node5", InstanceID: "i-5", InstanceType: "m5.large", Interfaces: []v1alpha1.Interface{{
			ID: "eni-5", MACAddress: "02:00:00:00:00:05", SubnetID: "subnet-set", PrimaryIPv4: addr("10.0.3.250")}}},
		v1alpha1.Node{Name: "node6", InstanceID: "i-6", InstanceType: "p5.48xlarge", Interfaces: []v1alpha1.Interface{
			{ID: "eni-6", MACAddress: "02:00:00:00:00:06", SubnetID: "subnet-wide", PrimaryIPv4: addr("10.0.1.60")},
			{ID: "eni-6b", MACAddress: "02:00:00:00:00:16", SubnetID: "subnet-wide", PrimaryIPv4: addr("10.0.1.61"), NetworkCardIndex: 1, DeviceIndex: 1}}})
	for i, r := range []string{"10.0.3.64/26 prefix", "10.0.3.128/26 explicit"} {
		cidr, kind, _ := strings.Cut(r, " ")
		inv.SubnetCIDRReservations = append(inv.SubnetCIDRReservations, fmt.Appendf(nil,
			`{"SubnetCidrReservationId": "scr-%d", "SubnetId": "subnet-set", "Cidr": %q, "ReservationType": %q}`, i, cidr, kind))
	}
	return inv
}

// raw posts a form, signed or not, and gives EC2's answer as an error.
func (s scene) raw(form string, signed bool) error {
	authorization := ""
	if signed {
		authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-central-1/ec2/aws4_request, SignedHeaders=host, Signature=0"
	}
	_, body := post(s.t, s.server.URL(), authorization, form)
	_, rest, _ := strings.Cut(body, "<Code>")
	code, rest, _ := strings.Cut(rest, "</Code><Message>")
	message, _, _ := strings.Cut(rest, "</Message>")
	if code == "" {
		return nil
	}
	return &smithy.GenericAPIError{Code: code, Message: message}
}

// describe sends an action by hand, with more parameters.
func (s scene) describe(name, more string) error {
	return s.raw("Action="+name+"&Version=2016-11-15"+more, true)
}

func (s scene) assign(eni string, change func(*ec2.AssignPrivateIpAddressesInput)) error {
	in := &ec2.AssignPrivateIpAddressesInput{NetworkInterfaceId: &eni}
	change(in)
	_, err := s.client.AssignPrivateIpAddresses(s.t.Context(), in)
	return err
}

func (s scene) prefixes(eni string, n int32) error {
	return s.assign(eni, func(in *ec2.AssignPrivateIpAddressesInput) { in.Ipv4PrefixCount = &n })
}

func (s scene) addrs(eni string, addrs ...string) error {
	return s.assign(eni, func(in *ec2.AssignPrivateIpAddressesInput) { in.PrivateIpAddresses = addrs })
}

// create makes an interface and returns its id.
func (s scene) create(subnet string, change func(*ec2.CreateNetworkInterfaceInput)) (string, error) {
	in := &ec2.CreateNetworkInterfaceInput{SubnetId: &subnet}
	if change != nil {
		change(in)
	}
	out, err := s.client.CreateNetworkInterface(s.t.Context(), in)
	if err != nil {
		return "", err
	}
	return *out.NetworkInterface.NetworkInterfaceId, nil
}

// created is one that has to come about.
func (s scene) created(subnet string, change func(*ec2.CreateNetworkInterfaceInput)) string {
	s.t.Helper()
	id, err := s.create(subnet, change)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s scene) attach(eni, instance string, device int32, card *int32) (string, error) {
	out, err := s.client.AttachNetworkInterface(s.t.Context(), &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: &eni, InstanceId: &instance, DeviceIndex: &device, NetworkCardIndex: card})
	if err != nil {
		return "", err
	}
	return *out.AttachmentId, nil
}

func (s scene) detach(attachment string) error {
	_, err := s.client.DetachNetworkInterface(s.t.Context(), &ec2.DetachNetworkInterfaceInput{AttachmentId: &attachment})
	return err
}

// clock stops the time, and returns what makes it pass.
func (s scene) clock() (pass func(time.Duration)) {
	now := time.Unix(0, 0)
	s.server.SetClock(func() time.Time { return now })
	return func(d time.Duration) { now = now.Add(d) }
}

// update changes the world.
func (s scene) update(change func(*ec2sim.World)) {
	if err := s.server.Update(func(w *ec2sim.World) error { change(w); return nil }); err != nil {
		s.t.Error(err)
	}
}

// status of an interface's attachment, as described.
func (s scene) status(eni string) string {
	s.t.Helper()
	out, err := s.client.DescribeNetworkInterfaces(s.t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{eni}})
	if err != nil {
		s.t.Fatal(err)
	}
	if a := out.NetworkInterfaces[0].Attachment; a != nil {
		return string(a.Status)
	}
	return string(out.NetworkInterfaces[0].Status)
}

func (s scene) want(got, want any) {
	s.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("got %v, want %v", got, want)
	}
}

func (s scene) unassign(eni, addr string) error {
	_, err := s.client.UnassignPrivateIpAddresses(s.t.Context(), &ec2.UnassignPrivateIpAddressesInput{NetworkInterfaceId: &eni, PrivateIpAddresses: []string{addr}})
	return err
}

func (s scene) six(eni string) error {
	_, err := s.client.AssignIpv6Addresses(s.t.Context(), &ec2.AssignIpv6AddressesInput{NetworkInterfaceId: &eni, Ipv6AddressCount: aws.Int32(1)})
	return err
}

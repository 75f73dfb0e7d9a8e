// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/internal/plan"
)

// group adds a security group; rules are JSON lists of permissions, as EC2 prints them.
func (s *situation) group(id, in, out string) {
	s.inv.SecurityGroups = append(s.inv.SecurityGroups, json.RawMessage(fmt.Sprintf(
		`{"GroupId": %q, "IpPermissions": [%s], "IpPermissionsEgress": [%s]}`, id, in, out)))
}

// acl adds a network ACL of a subnet.
func (s *situation) acl(id, subnet string, entries ...string) {
	s.inv.NetworkACLs = append(s.inv.NetworkACLs, json.RawMessage(fmt.Sprintf(
		`{"NetworkAclId": %q, "VpcId": "vpc-0001", "Associations": [{"SubnetId": %q}], "Entries": [%s]}`, id, subnet, strings.Join(entries, ","))))
}

// entry of a network ACL; ports such as 443-443, or none.
func entry(number int, egress bool, action, protocol, ports, cidr string) string {
	block := "CidrBlock"
	if strings.Contains(cidr, ":") {
		block = "Ipv6CidrBlock"
	}
	var portRange string
	if first, last, ok := strings.Cut(ports, "-"); ok {
		portRange = fmt.Sprintf(`, "PortRange": {"From": %s, "To": %s}`, first, last)
	}
	return fmt.Sprintf(`{"RuleNumber": %d, "Egress": %t, "RuleAction": %q, "Protocol": %q, %q: %q%s}`, number, egress, action, protocol, block, cidr, portRange)
}

// permission of a security group: all of a protocol, or a port of it.
func permission(protocol string, port int, from string) string {
	ports := ""
	if port > 0 {
		ports = fmt.Sprintf(`"FromPort": %d, "ToPort": %d, `, port, port)
	}
	kind := fmt.Sprintf(`"IpRanges": [{"CidrIp": %q}]`, from)
	switch {
	case strings.HasPrefix(from, "sg-"):
		kind = fmt.Sprintf(`"UserIdGroupPairs": [{"GroupId": %q}]`, from)
	case strings.HasPrefix(from, "pl-"):
		kind = fmt.Sprintf(`"PrefixListIds": [{"PrefixListId": %q}]`, from)
	case strings.Contains(from, ":"):
		kind = fmt.Sprintf(`"Ipv6Ranges": [{"CidrIpv6": %q}]`, from)
	}
	return fmt.Sprintf(`{"IpProtocol": %q, %s%s}`, protocol, ports, kind)
}

// apart puts the second node's interface into a group of its own.
func (s *situation) apart() { s.nic(1).SecurityGroups = []string{"sg-0002"} }

// asDefault makes the only network the default.
func (s *situation) asDefault() {
	s.networks = []v1alpha1.UnderlayNetwork{network("main", func(n *v1alpha1.UnderlayNetworkSpec) { n.Default = true })}
}

// twoSubnets moves the second node to another subnet.
func (s *situation) twoSubnets() {
	nic := s.nic(1)
	nic.SubnetID = publicSubnetID
	nic.IPv4Prefixes, nic.IPv6Prefixes = prefixes("10.1.1.64/28"), prefixes("2001:db8:0:1:10::/80")
	nic.PrimaryIPv4, nic.PrimaryIPv6 = nic.IPv4Prefixes[0].Addr(), nic.IPv6Prefixes[0].Addr()
}

var all4, all6 = permission("-1", 0, "0.0.0.0/0"), permission("-1", 0, "::/0")

func groupCases() []checkCase {
	out, self := all4+","+all6, permission("-1", 0, "sg-0001")
	return []checkCase{
		{
			id:       idGroupBlocksPods,
			bad:      func(s *situation) { s.group("sg-0001", permission("tcp", 22, "10.9.0.0/16"), out) },
			good:     func(s *situation) { s.group("sg-0001", self, out) },
			severity: plan.Error, object: "network/ens5", says: "no rule of security group sg-0001 lets IPv4 traffic from pods on 2 nodes (sg-0001) in to pods on 2 nodes (sg-0001)",
		},
		{
			id:  idGroupBlocksPods, // a rule for IPv4 is none for IPv6
			bad: func(s *situation) { s.group("sg-0001", permission("-1", 0, "10.0.0.0/8"), out) },
			good: func(s *situation) {
				s.group("sg-0001", permission("-1", 0, "10.0.0.0/8")+","+permission("icmpv6", 0, "2001:db8::/60"), out)
			},
			severity: plan.Error, object: "network/ens5", says: "lets IPv6 traffic from pods",
		},
		{
			id: idGroupBlocksPods, // each lets itself in, but not the other
			bad: func(s *situation) {
				s.apart()
				s.group("sg-0001", self, out)
				s.group("sg-0002", permission("-1", 0, "sg-0002"), out)
			},
			good: func(s *situation) { // the second group is not known, and a prefix list's addresses are not either
				s.apart()
				s.group("sg-0001", permission("-1", 0, "pl-1"), out)
			},
			severity: plan.Error, object: "network/ens5", says: "no rule of security group sg-0002 lets IPv4 traffic from pods on 1 node (sg-0001) in to pods on 1 node (sg-0002)",
		},
		{
			id:       idGroupBlocksPods,
			bad:      func(s *situation) { s.group("sg-0001", self, "") },
			good:     func(s *situation) { s.group("sg-0001", self, self) },
			severity: plan.Error, object: "network/ens5", says: "no rule of security group sg-0001 lets IPv4 traffic of pods on 2 nodes (sg-0001) out to pods",
		},
		{
			id:  idGroupBlocksPods, // on one node no group is asked
			bad: func(s *situation) { s.group("sg-0001", "", out) },
			good: func(s *situation) {
				s.inv.Nodes = s.inv.Nodes[:1]
				s.group("sg-0001", "", out)
			},
			severity: plan.Error, object: "network/ens5", says: "no rule of security group sg-0001",
		},
		{
			id: idGroupBlocksPods, // what the item does not list is not known
			bad: func(s *situation) {
				s.inv.SecurityGroups = []json.RawMessage{[]byte(`{"GroupId": "sg-0001", "IpPermissions": [], "IpPermissionsEgress": []}`)}
			},
			good: func(s *situation) {
				s.inv.SecurityGroups = []json.RawMessage{[]byte(`{"GroupId": "sg-0001"}`), []byte(`"sg-0001"`)}
			},
			severity: plan.Error, object: "network/ens5", says: "no rule of security group sg-0001",
		},
		{
			id: idGroupBlocksServices,
			bad: func(s *situation) { // pods let each other in by addresses, which are not the nodes'
				s.asDefault()
				s.group("sg-0001", permission("-1", 0, "10.0.0.64/28")+","+permission("-1", 0, "10.0.1.64/28")+","+all6, out)
			},
			good: func(s *situation) {
				s.group("sg-0001", permission("-1", 0, "10.0.0.64/28")+","+permission("-1", 0, "10.0.1.64/28")+","+all6, out)
			},
			severity: plan.Error, object: "network/main", says: "lets IPv4 traffic from 2 nodes in to pods on 2 nodes (sg-0001); services reach",
		},
		{
			id: idGroupBlocksServices,
			bad: func(s *situation) {
				s.asDefault()
				s.group("sg-0001", permission("tcp", 443, "sg-0001")+","+all6, out)
			},
			good: func(s *situation) {
				s.asDefault()
				s.group("sg-0001", permission("tcp", 443, "sg-0001")+","+permission("17", 53, "10.0.0.0/16")+","+all6, out)
			},
			severity: plan.Error, object: "network/main", says: "lets UDP port 53 over IPv4 from 2 nodes in to pods on 2 nodes (sg-0001); DNS",
		},
		{
			id: idGroupBlocksEgress,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT)
				s.group("sg-0001", self, permission("-1", 0, "10.0.0.0/8"))
			},
			good: func(s *situation) { // there is no way out that it could block
				s.table("rtb-1", podSubnet)
				s.group("sg-0001", self, permission("-1", 0, "10.0.0.0/8"))
			},
			severity: plan.Warning, object: "subnet/" + podSubnet, says: "has a route to the internet (nat-1), but no rule of security group sg-0001 lets IPv4 traffic out to it from 2 interfaces",
		},
		{
			id: idGroupBlocksEgress,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.group("sg-0001", self, all4)
			},
			good: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.group("sg-0001", self, permission("tcp", 443, "0.0.0.0/0")+","+permission("tcp", 443, "pl-1"))
			},
			severity: plan.Warning, object: "subnet/" + podSubnet, says: "(eigw-1), but no rule of security group sg-0001 lets IPv6 traffic out",
		},
	}
}

func aclCases() []checkCase {
	in4, out4 := entry(100, false, "allow", "-1", "", "0.0.0.0/0"), entry(100, true, "allow", "-1", "", "0.0.0.0/0")
	in6, out6 := entry(101, false, "allow", "-1", "", "::/0"), entry(101, true, "allow", "-1", "", "::/0")
	return []checkCase{
		{
			id: idACLBlocksPods,
			bad: func(s *situation) {
				s.twoSubnets()
				s.acl("acl-1", podSubnet, entry(90, false, "deny", "-1", "", "10.1.0.0/16"), in4, out4, in6, out6)
			},
			good: func(s *situation) { // the pods there have other addresses
				s.twoSubnets()
				s.acl("acl-1", podSubnet, entry(90, false, "deny", "-1", "", "10.1.2.0/24"), in4, out4, in6, out6)
			},
			severity: plan.Error, object: "network/ens5", says: "network ACL acl-1 lets nothing in from IPv4 pods in subnet-00-1 to those in subnet-00-0",
		},
		{
			id: idACLBlocksPods, // a rule below, and one of another protocol, do not count
			bad: func(s *situation) {
				s.twoSubnets()
				s.acl("acl-1", podSubnet, in4, out4, in6)
			},
			good: func(s *situation) {
				s.twoSubnets()
				s.acl("acl-1", podSubnet, entry(200, false, "deny", "-1", "", "0.0.0.0/0"), in4, out4, in6, out6, entry(90, true, "deny", "6", "", "0.0.0.0/0"),
					entry(80, true, "allow", "6", "40000-50000", "10.1.0.0/16"))
			},
			severity: plan.Error, object: "network/ens5", says: "network ACL acl-1 lets nothing out from IPv6 pods in subnet-00-0 to those in subnet-00-1",
		},
		{
			id: idACLBlocksPods,
			bad: func(s *situation) {
				s.twoSubnets()
				s.acl("acl-1", podSubnet, entry(100, false, "allow", "6", "443-443", "0.0.0.0/0"), out4, in6, out6)
			},
			good: func(s *situation) { // within one subnet there is no ACL
				s.acl("acl-1", podSubnet, entry(100, false, "allow", "6", "443-443", "0.0.0.0/0"), out4, in6, out6)
			},
			severity: plan.Error, object: "network/ens5", says: "lets no answers (TCP ports 1024-65535) in from IPv4 pods in subnet-00-1",
		},
		{
			id: idACLBlocksPods, // several that deny add up to all addresses
			bad: func(s *situation) {
				s.twoSubnets()
				s.acl("acl-2", publicSubnetID, in4, in6, out4, out6, entry(1, false, "deny", "-1", "", "10.0.0.64/29"), entry(2, false, "deny", "-1", "", "10.0.0.72/29"))
			},
			good: func(s *situation) { // one that denies a protocol is not all
				s.twoSubnets()
				s.acl("acl-2", publicSubnetID, in4, in6, out4, out6, entry(1, false, "deny", "17", "", "10.0.0.0/16"), entry(2, false, "deny", "6", "1-30000", "10.0.0.0/16"))
				s.inv.NetworkACLs = append(s.inv.NetworkACLs, json.RawMessage(`{"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "subnet-00-0"}]}`))
			},
			severity: plan.Error, object: "network/ens5", says: "network ACL acl-2 lets nothing in from IPv4 pods in subnet-00-0",
		},
		{
			id: idACLBlocksEgress,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.acl("acl-1", podSubnet, entry(100, false, "allow", "-1", "", "10.0.0.0/8"), entry(110, false, "allow", "6", "443-443", "0.0.0.0/0"), out4, in6, out6)
			},
			good: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.acl("acl-1", podSubnet, entry(100, false, "allow", "6", "1024-65535", "0.0.0.0/0"), out4, in6, out6)
			},
			severity: plan.Warning, object: "subnet/" + podSubnet, says: "lets no answers (TCP ports 1024-65535) in from the internet, to which the subnet has a route (nat-1)",
		},
		{
			id: idACLBlocksEgress,
			bad: func(s *situation) {
				s.table("rtb-1", podSubnet, toNAT, toEIGW)
				s.acl("acl-1", podSubnet, in4, in6, out4, entry(101, true, "allow", "-1", "", "2001:db8::/61"))
			},
			good: func(s *situation) { // nothing is lost where there is no way out
				s.table("rtb-1", podSubnet, toLostNAT)
				s.acl("acl-1", podSubnet, in4, in6, entry(101, true, "allow", "-1", "", "2001:db8::/61"))
			},
			severity: plan.Warning, object: "subnet/" + podSubnet, says: "network ACL acl-1 lets nothing out to the internet, to which the subnet has a route (eigw-1); concerned are IPv6 pods on 2 nodes",
		},
	}
}

// TestRemedyOfGroups: the remedy can be pasted, and names the side that has to open.
func TestRemedyOfGroups(t *testing.T) {
	s := fine()
	s.apart()
	s.group("sg-0001", all4+","+all6, all4+","+all6)
	s.group("sg-0002", "", all4+","+all6)
	var got []string
	for _, f := range s.findings() {
		got = append(got, f.Remedy)
	}
	want := "`aws ec2 authorize-security-group-ingress --group-id sg-0002 --ip-permissions 'IpProtocol=-1,UserIdGroupPairs=[{GroupId=sg-0001}]'`"
	if len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("remedies %q, want %q once per family", got, want)
	}
}

// TestRemedyOfACLs: the new entry comes before all others of its direction.
func TestRemedyOfACLs(t *testing.T) {
	s := fine()
	s.twoSubnets()
	s.acl("acl-1", podSubnet, entry(70, true, "deny", "-1", "", "10.1.0.0/16"), entry(90, true, "allow", "-1", "", "0.0.0.0/0"),
		entry(9, false, "allow", "-1", "", "0.0.0.0/0"), entry(91, true, "allow", "-1", "", "::/0"), entry(10, false, "allow", "-1", "", "::/0"))
	found := s.findings()
	const want = "`aws ec2 create-network-acl-entry --network-acl-id acl-1 --egress --rule-number 69 --protocol -1 --rule-action allow --cidr-block 0.0.0.0/0`, " +
		"and let security groups say who may"
	if len(found) != 1 || found[0].Remedy != want {
		t.Errorf("%+v, want the remedy %s", found, want)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package vpc

import (
	"encoding/json"
	"os"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// TestOf reads what the AWS CLI prints, as the discovery's own test has it.
func TestOf(t *testing.T) {
	text, err := os.ReadFile("../cloud/aws/testdata/surroundings.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var inv v1alpha1.Inventory
	if err := yaml.Unmarshal(text, &inv); err != nil {
		t.Fatal(err)
	}
	s := Of(&inv)
	table := s.TableOf(v1alpha1.Subnet{ID: "subnet-1", VPCID: "vpc-1"})
	if table == nil || s.TableOf(v1alpha1.Subnet{ID: "subnet-2", VPCID: "vpc-1"}) != table || s.TableOf(v1alpha1.Subnet{ID: "subnet-1", VPCID: "vpc-2"}) != table ||
		s.TableOf(v1alpha1.Subnet{ID: "subnet-3", VPCID: "vpc-far"}) != nil {
		t.Fatalf("tables %+v", s.RouteTables)
	}
	if r, found, hidden := table.Default(v1alpha1.IPv4); !found || hidden || r.Target() != "nat-1" || r.Blackhole() {
		t.Errorf("IPv4 leads to %+v", r)
	}
	if r, found, _ := table.Default(v1alpha1.IPv6); !found || r.Target() != "eigw-1" || !r.Blackhole() {
		t.Errorf("IPv6 leads to %+v", r)
	}
	for _, target := range []string{"pcx-1", "tgw-1", "eni-1", "vpce-1", "local"} {
		if !table.Leads(target) {
			t.Errorf("no route leads to %s", target)
		}
	}
	if table.Leads("eigw-1") || table.Leads("pcx-2") {
		t.Error("a route leads to what is gone, or is not there")
	}
	if g, known := s.NATGateway("nat-1"); !known || g.State != "available" || g.SubnetID != "subnet-2" || g.ConnectivityType != "public" {
		t.Errorf("NAT gateway %+v", g)
	}
	if groups, known := s.Groups([]string{"sg-1"}); !known || len(groups[0].Ingress) != 2 || *groups[0].Ingress[1].ToPort != 22 ||
		groups[0].Ingress[0].Groups[0].ID != "sg-1" || groups[0].Ingress[1].IPv4[0].CIDR.String() != "10.0.0.0/8" {
		t.Errorf("groups %+v", groups)
	}
	acl := s.ACLOf("subnet-1")
	if acl == nil || s.ACLOf("subnet-2") != nil || len(acl.Entries) != 3 || acl.Entries[1].Ports.To != 81 || acl.Entries[2].IPv6.String() != "::/0" {
		t.Errorf("ACL %+v", acl)
	}
	if c := s.VPCPeeringConnections[0]; c.ID != "pcx-1" || !c.Joins("vpc-1", "vpc-9") || !c.Joins("vpc-9", "vpc-1") || c.Joins("vpc-1", "vpc-far") ||
		c.Status.Code != "active" || c.Accepter.Region != "eu-west-1" {
		t.Errorf("peering %+v", c)
	}
	if a := s.TransitGatewayAttachments[0]; a != (TransitGatewayAttachment{"tgw-attach-1", "tgw-1", "vpc-1", "vpc", "available"}) {
		t.Errorf("attachment %+v", a)
	}
	if r := s.SubnetCIDRReservations; len(r) != 3 || r[1].Type != "explicit" || r[0].CIDR.String() != "10.0.1.64/26" || r[2].SubnetID != "subnet-2" {
		t.Errorf("reservations %+v", r)
	}
}

// TestUnreadable: an item that does not decode is left out as a whole, and the others stay.
func TestUnreadable(t *testing.T) {
	inv := v1alpha1.Inventory{SecurityGroups: []json.RawMessage{[]byte(`{"GroupId": "sg-2", "IpPermissions": [], "IpPermissionsEgress": []}`),
		[]byte(`{"GroupId": "sg-1", "IpPermissions": [{"IpRanges": [{"CidrIp": "10.0.0.0/33"}]}], "IpPermissionsEgress": []}`), []byte(`[]`), []byte(`null`)}}
	s := Of(&inv)
	if _, known := s.Groups([]string{"sg-2"}); !known {
		t.Error("sg-2 is not known")
	}
	for _, ids := range [][]string{{"sg-1"}, {"sg-2", "sg-1"}, nil, {""}} {
		if groups, known := s.Groups(ids); known {
			t.Errorf("%q are known: %+v", ids, groups)
		}
	}
}

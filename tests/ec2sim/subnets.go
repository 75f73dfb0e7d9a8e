// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"cmp"
	"strconv"
)

func subnetActions() []action {
	return []action{{name: "DescribeSubnets", run: describeSubnets}}
}

type subnetXML struct {
	ID        string      `xml:"subnetId"`
	ARN       string      `xml:"subnetArn"`
	VPCID     string      `xml:"vpcId"`
	Owner     string      `xml:"ownerId"`
	State     string      `xml:"state"`
	Zone      string      `xml:"availabilityZone"`
	CIDR      string      `xml:"cidrBlock,omitempty"`
	Available int         `xml:"availableIpAddressCount"`
	Native    bool        `xml:"ipv6Native"`
	Blocks6   []block6XML `xml:"ipv6CidrBlockAssociationSet>item"`
	Tags      []tagXML    `xml:"tagSet>item"`
}

type describeSubnetsAnswer struct {
	head
	Subnets []subnetXML `xml:"subnetSet>item"`
	Next    string      `xml:"nextToken,omitempty"`
}

func subnetFields() fields[*Subnet] {
	return fields[*Subnet]{
		"subnet-id":         func(s *Subnet) []string { return one(s.ID) },
		"vpc-id":            func(s *Subnet) []string { return one(s.VPCID) },
		"availability-zone": func(s *Subnet) []string { return one(s.Zone) },
		"owner-id":          func(s *Subnet) []string { return one(cmp.Or(s.OwnerID, accountID)) },
		"state":             func(*Subnet) []string { return one("available") },
		"ipv6-native":       func(s *Subnet) []string { return one(strconv.FormatBool(!s.CIDR.IsValid())) },
		"cidr-block":        func(s *Subnet) []string { return one(cidrText(s)) },
		"ipv6-cidr-block-association.ipv6-cidr-block": func(s *Subnet) []string {
			if !s.IPv6CIDR.IsValid() {
				return nil
			}
			return one(s.IPv6CIDR.String())
		},
	}
}

func describeSubnets(w *World, p *params) (answer, error) {
	query, err := readFilters(p, subnetFields(), func(s *Subnet) map[string]string { return s.Tags })
	if err != nil {
		return nil, err
	}
	ids := p.list("SubnetId")
	page, err := usualPaging("SubnetId", "SubnetIds").request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if err := allExist(w.Subnets, ids, "InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist"); err != nil {
		return nil, err
	}
	found, next := cut(page, sorted(w.Subnets, func(s *Subnet) bool { return chosen(ids, s.ID) && query.match(s) }),
		func(s *Subnet) string { return s.ID })
	out := &describeSubnetsAnswer{Next: next}
	for _, subnet := range found {
		out.Subnets = append(out.Subnets, w.toSubnetXML(subnet))
	}
	return out, nil
}

func (w *World) toSubnetXML(s *Subnet) subnetXML {
	out := subnetXML{
		ID:        s.ID,
		ARN:       "arn:aws:ec2:*:" + cmp.Or(s.OwnerID, accountID) + ":subnet/" + s.ID,
		VPCID:     s.VPCID,
		Owner:     cmp.Or(s.OwnerID, accountID),
		State:     "available",
		Zone:      s.Zone,
		CIDR:      cidrText(s),
		Available: w.space4(s).free(),
		Native:    !s.CIDR.IsValid(),
		Tags:      tagsXML(s.Tags),
	}
	if s.IPv6CIDR.IsValid() {
		out.Blocks6 = []block6XML{{"subnet-cidr-assoc-" + s.ID, s.IPv6CIDR.String(), "associated"}}
	}
	return out
}

func cidrText(s *Subnet) string {
	if !s.CIDR.IsValid() {
		return ""
	}
	return s.CIDR.String()
}

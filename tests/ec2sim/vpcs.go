// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"maps"
	"slices"
)

func vpcActions() []action {
	return []action{{name: "DescribeVpcs", run: describeVPCs}}
}

type vpcXML struct {
	ID      string      `xml:"vpcId"`
	Owner   string      `xml:"ownerId"`
	State   string      `xml:"state"`
	CIDR    string      `xml:"cidrBlock,omitempty"`
	Blocks  []blockXML  `xml:"cidrBlockAssociationSet>item"`
	Blocks6 []block6XML `xml:"ipv6CidrBlockAssociationSet>item"`
	Tags    []tagXML    `xml:"tagSet>item"`
}

type describeVPCsAnswer struct {
	head
	VPCs []vpcXML `xml:"vpcSet>item"`
	Next string   `xml:"nextToken,omitempty"`
}

func vpcFields() fields[*VPC] {
	return fields[*VPC]{
		"vpc-id":                            func(v *VPC) []string { return one(v.ID) },
		"owner-id":                          func(*VPC) []string { return one(accountID) },
		"state":                             func(*VPC) []string { return one("available") },
		"cidr-block-association.cidr-block": func(v *VPC) []string { return textsOf(v.CIDRs) },
		"ipv6-cidr-block-association.ipv6-cidr-block": func(v *VPC) []string { return textsOf(v.IPv6CIDRs) },
	}
}

func describeVPCs(w *World, p *params) (answer, error) {
	query, err := readFilters(p, vpcFields(), func(v *VPC) map[string]string { return v.Tags })
	if err != nil {
		return nil, err
	}
	ids := p.list("VpcId")
	page, err := usualPaging("VpcId", "VpcIds").request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if err := allExist(w.VPCs, ids, "InvalidVpcID.NotFound", "The vpc ID '%s' does not exist"); err != nil {
		return nil, err
	}
	found, next := cut(page, sorted(w.VPCs, func(v *VPC) bool { return chosen(ids, v.ID) && query.match(v) }),
		func(v *VPC) string { return v.ID })
	out := &describeVPCsAnswer{Next: next}
	for _, vpc := range found {
		out.VPCs = append(out.VPCs, toVPCXML(vpc))
	}
	return out, nil
}

func toVPCXML(v *VPC) vpcXML {
	out := vpcXML{ID: v.ID, Owner: accountID, State: "available", Tags: tagsXML(v.Tags)}
	for i, cidr := range v.CIDRs {
		if i == 0 {
			out.CIDR = cidr.String()
		}
		out.Blocks = append(out.Blocks, blockXML{indexed("vpc-cidr-assoc-"+v.ID, i), cidr.String(), "associated"})
	}
	for i, cidr := range v.IPv6CIDRs {
		out.Blocks6 = append(out.Blocks6, block6XML{indexed("vpc-cidr-assoc6-"+v.ID, i), cidr.String(), "associated"})
	}
	return out
}

// chosen says whether an id is one of those asked for; no ids ask for all.
func chosen(ids []string, id string) bool { return len(ids) == 0 || slices.Contains(ids, id) }

// allExist fails when an id is missing: one missing id fails the whole call.
func allExist[T any](m map[string]T, ids []string, code, format string) error {
	for _, id := range ids {
		if _, ok := m[id]; !ok {
			return client(code, format, id)
		}
	}
	return nil
}

func tagsXML(tags map[string]string) []tagXML {
	var out []tagXML
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tagXML{key, tags[key]})
	}
	return out
}

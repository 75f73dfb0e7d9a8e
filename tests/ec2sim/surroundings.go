// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"encoding/json"
	"fmt"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// Item is a thing that the simulator only shows: as `aws ec2 describe-…` prints it.
type Item map[string]any

// kind is one sort of items.
type kind struct {
	action string
	// set is what the answer's list is called, id the item's field, and ids the parameter that lists ids.
	set, id, ids string
	// filters lead to values in an item.
	filters map[string][]string
	// largest MaxResults.
	largest int
	// from is where the inventory has them.
	from func(v1alpha1.Inventory) []json.RawMessage
	// missing says that an id does not exist: code and text.
	missing [2]string
}

// kinds of items. Largest pages are those of the API reference.
func kinds() []kind {
	vpc := map[string][]string{"vpc-id": {"VpcId"}}
	return []kind{
		{"DescribeRouteTables", "routeTableSet", "RouteTableId", "RouteTableId", map[string][]string{"vpc-id": {"VpcId"},
			"association.subnet-id": {"Associations", "SubnetId"}}, 100,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.RouteTables },
			[2]string{"InvalidRouteTableID.NotFound", "The routeTable ID '%s' does not exist"}},
		{"DescribeSecurityGroups", "securityGroupInfo", "GroupId", "GroupId", map[string][]string{"vpc-id": {"VpcId"},
			"group-id": {"GroupId"}, "group-name": {"GroupName"}}, 1000,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.SecurityGroups },
			[2]string{"InvalidGroup.NotFound", "The security group '%s' does not exist"}},
		{"DescribeNetworkAcls", "networkAclSet", "NetworkAclId", "NetworkAclId", vpc, 1000,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.NetworkACLs },
			[2]string{"InvalidNetworkAclID.NotFound", "The networkAcl ID '%s' does not exist"}},
		{"DescribeNatGateways", "natGatewaySet", "NatGatewayId", "NatGatewayId", map[string][]string{"vpc-id": {"VpcId"}, "state": {"State"}}, 1000,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.NATGateways },
			[2]string{"NatGatewayNotFound", "NatGateway %s was not found"}},
		{"DescribeInternetGateways", "internetGatewaySet", "InternetGatewayId", "InternetGatewayId",
			map[string][]string{"attachment.vpc-id": {"Attachments", "VpcId"}}, 1000,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.InternetGateways },
			[2]string{"InvalidInternetGatewayID.NotFound", "The internetGateway ID '%s' does not exist"}},
		{"DescribeEgressOnlyInternetGateways", "egressOnlyInternetGatewaySet", "EgressOnlyInternetGatewayId", "EgressOnlyInternetGatewayId",
			nil, 255,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.EgressOnlyInternetGateways },
			[2]string{"InvalidEgressOnlyInternetGatewayId.NotFound", "The egressOnlyInternetGateway ID '%s' does not exist"}},
		{"DescribeVpcPeeringConnections", "vpcPeeringConnectionSet", "VpcPeeringConnectionId", "VpcPeeringConnectionId",
			map[string][]string{"accepter-vpc-info.vpc-id": {"AccepterVpcInfo", "VpcId"},
				"requester-vpc-info.vpc-id": {"RequesterVpcInfo", "VpcId"}, "status-code": {"Status", "Code"}}, 1000,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.VPCPeeringConnections },
			[2]string{"InvalidVpcPeeringConnectionID.NotFound", "The vpcPeeringConnection ID '%s' does not exist"}},
		{"DescribeTransitGatewayAttachments", "transitGatewayAttachments", "TransitGatewayAttachmentId", "TransitGatewayAttachmentIds",
			map[string][]string{"resource-id": {"ResourceId"}, "resource-type": {"ResourceType"}, "state": {"State"}}, 1000,
			func(i v1alpha1.Inventory) []json.RawMessage { return i.TransitGatewayAttachments },
			[2]string{"InvalidTransitGatewayAttachmentID.NotFound", "Transit Gateway Attachment %s was deleted or does not exist."}},
	}
}

// loadItems reads all kinds of items out of an inventory, by action and id.
func loadItems(inv v1alpha1.Inventory) (map[string]map[string]Item, error) {
	out := map[string]map[string]Item{}
	for _, k := range kinds() {
		out[k.action] = map[string]Item{}
		for i, raw := range k.from(inv) {
			var item Item
			if err := json.Unmarshal(raw, &item); err != nil {
				return nil, fmt.Errorf("item %d of %s: %w", i, k.set, err)
			}
			id, _ := item[k.id].(string)
			if err := put(out[k.action], id, item); err != nil {
				return nil, fmt.Errorf("item %d of %s, by %s: %w", i, k.set, k.id, err)
			}
		}
	}
	return out, nil
}

func surroundingsActions() []action {
	var out []action
	for _, k := range kinds() {
		out = append(out, action{name: k.action, run: k.describe})
	}
	return out
}

func (k kind) describe(w *World, p *params) (answer, error) {
	known := fields[Item]{"tag-key": func(i Item) []string { return i.texts("Tags", "Key") }}
	for name, path := range k.filters {
		known[name] = func(i Item) []string { return i.texts(path...) }
	}
	query, err := readFilters(p, known, Item.tags)
	if err != nil {
		return nil, err
	}
	ids := p.list(k.ids)
	paging := usualPaging(k.ids, k.ids+"s")
	paging.largest = k.largest
	page, err := paging.request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if err := allExist(w.Items[k.action], ids, k.missing[0], k.missing[1]); err != nil {
		return nil, err
	}
	id := func(i Item) string { return i.texts(k.id)[0] }
	found, next := cut(page, sorted(w.Items[k.action], func(i Item) bool { return chosen(ids, id(i)) && query.match(i) }), id)
	return &itemsAnswer{lists: map[string][]Item{k.set: found}, next: next}, nil
}

// texts finds all values at a path, through lists.
func (i Item) texts(path ...string) []string {
	var out []string
	var walk func(value any, path []string)
	walk = func(value any, path []string) {
		switch v := value.(type) {
		case []any:
			for _, element := range v {
				walk(element, path)
			}
		case map[string]any:
			if len(path) > 0 {
				walk(v[path[0]], path[1:])
			}
		case nil:
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	walk(map[string]any(i), path)
	return out
}

func (i Item) tags() map[string]string {
	out := map[string]string{}
	values := i.texts("Tags", "Value")
	for n, key := range i.texts("Tags", "Key") {
		out[key] = values[n]
	}
	return out
}

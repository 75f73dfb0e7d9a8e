// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// itemsAnswer lists items, as the AWS CLI prints them, in EC2's XML.
type itemsAnswer struct {
	head
	lists map[string][]Item
	next  string
}

// MarshalXML writes the lists sorted by name.
func (a *itemsAnswer) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	start.Attr = append(start.Attr, xml.Attr{Name: xml.Name{Local: "xmlns"}, Value: a.Xmlns})
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if err := writeWire(e, "requestId", a.RequestID); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.lists)) {
		list := make([]any, 0, len(a.lists[name]))
		for _, item := range a.lists[name] {
			list = append(list, map[string]any(item))
		}
		if err := writeWire(e, name, list); err != nil {
			return err
		}
	}
	if a.next != "" {
		if err := writeWire(e, "nextToken", a.next); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// writeWire writes a value of JSON as EC2 does: lists as elements named item.
func writeWire(e *xml.Encoder, name string, value any) error {
	start := xml.StartElement{Name: xml.Name{Local: name}}
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			if err := writeWire(e, "item", element); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := writeWire(e, wireName(key, v), v[key]); err != nil {
				return err
			}
		}
	case float64: // JSON knows no other number; those of EC2 are whole
		if err := e.EncodeToken(xml.CharData(fmt.Sprintf("%.0f", v))); err != nil {
			return err
		}
	default:
		if err := e.EncodeToken(xml.CharData(fmt.Sprint(v))); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// wireName is how EC2 calls a field of an item on the wire: as the CLI does, with a small first letter, but for some.
func wireName(field string, item map[string]any) string {
	switch field {
	case "Tags":
		return "tagSet"
	case "Associations", "Attachments", "Routes":
		return strings.ToLower(strings.TrimSuffix(field, "s")) + "Set"
	case "PropagatingVgws":
		return "propagatingVgwSet"
	case "Entries":
		return "entrySet"
	case "NatGatewayAddresses":
		return "natGatewayAddressSet"
	case "AttachedAppliances":
		return "attachedApplianceSet"
	case "IsDefault":
		return "default"
	case "UserIdGroupPairs":
		return "groups"
	case "Description":
		if item["GroupName"] != nil && item["OwnerId"] != nil { // a security group's own
			return "groupDescription"
		}
	}
	return strings.ToLower(field[:1]) + field[1:]
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"strconv"
	"strings"
)

func interfaceActions() []action {
	return []action{{name: "DescribeNetworkInterfaces", run: describeInterfaces}}
}

type attachmentXML struct {
	ID          string `xml:"attachmentId"`
	InstanceID  string `xml:"instanceId,omitempty"`
	Owner       string `xml:"instanceOwnerId"`
	DeviceIndex int32  `xml:"deviceIndex"`
	CardIndex   int32  `xml:"networkCardIndex"`
	Status      string `xml:"status"`
	Deletes     bool   `xml:"deleteOnTermination"`
}

type address4XML struct {
	Addr    string `xml:"privateIpAddress"`
	Primary bool   `xml:"primary"`
}

type address6XML struct {
	Addr    string `xml:"ipv6Address"`
	Primary bool   `xml:"isPrimaryIpv6"`
}

type prefix4XML struct {
	Prefix string `xml:"ipv4Prefix"`
}

type prefix6XML struct {
	Prefix string `xml:"ipv6Prefix"`
}

type networkInterfaceXML struct {
	ID              string         `xml:"networkInterfaceId"`
	SubnetID        string         `xml:"subnetId"`
	VPCID           string         `xml:"vpcId"`
	Zone            string         `xml:"availabilityZone,omitempty"`
	Description     string         `xml:"description"`
	Owner           string         `xml:"ownerId"`
	Status          string         `xml:"status"`
	Type            string         `xml:"interfaceType"`
	MAC             string         `xml:"macAddress"`
	SourceDestCheck bool           `xml:"sourceDestCheck"`
	Groups          []groupXML     `xml:"groupSet>item"`
	Attachment      *attachmentXML `xml:"attachment"`
	Tags            []tagXML       `xml:"tagSet>item"`
	IPv4            string         `xml:"privateIpAddress,omitempty"`
	Addresses4      []address4XML  `xml:"privateIpAddressesSet>item"`
	Prefixes4       []prefix4XML   `xml:"ipv4PrefixSet>item"`
	IPv6            string         `xml:"ipv6Address,omitempty"`
	Addresses6      []address6XML  `xml:"ipv6AddressesSet>item"`
	Prefixes6       []prefix6XML   `xml:"ipv6PrefixSet>item"`
}

type describeInterfacesAnswer struct {
	head
	Interfaces []networkInterfaceXML `xml:"networkInterfaceSet>item"`
	Next       string                `xml:"nextToken,omitempty"`
}

func interfaceFields(w *World) fields[*NetworkInterface] {
	attached := func(get func(*NetworkInterface) string) func(*NetworkInterface) []string {
		return func(n *NetworkInterface) []string {
			if n.AttachmentStatus == "" {
				return nil
			}
			return one(get(n))
		}
	}
	return fields[*NetworkInterface]{
		"network-interface-id":          func(n *NetworkInterface) []string { return one(n.ID) },
		"subnet-id":                     func(n *NetworkInterface) []string { return one(n.SubnetID) },
		"vpc-id":                        func(n *NetworkInterface) []string { return one(w.vpcID(n)) },
		"availability-zone":             func(n *NetworkInterface) []string { return one(w.Subnets[n.SubnetID].Zone) },
		"description":                   func(n *NetworkInterface) []string { return one(n.Description) },
		"interface-type":                func(n *NetworkInterface) []string { return one(n.Type) },
		"status":                        func(n *NetworkInterface) []string { return one(n.status()) },
		"mac-address":                   func(n *NetworkInterface) []string { return one(n.MACAddress) },
		"group-id":                      func(n *NetworkInterface) []string { return n.SecurityGroups },
		"owner-id":                      func(*NetworkInterface) []string { return one(accountID) },
		"source-dest-check":             func(n *NetworkInterface) []string { return one(strconv.FormatBool(n.checks())) },
		"private-ip-address":            func(n *NetworkInterface) []string { return textsOf(valid(n.PrimaryIPv4)) },
		"addresses.private-ip-address":  func(n *NetworkInterface) []string { return textsOf(n.ipv4()) },
		"ipv6-addresses.ipv6-address":   func(n *NetworkInterface) []string { return textsOf(n.ipv6()) },
		"attachment.instance-id":        attached(func(n *NetworkInterface) string { return n.InstanceID }),
		"attachment.instance-owner-id":  attached(func(n *NetworkInterface) string { return n.owner() }),
		"attachment.status":             attached(func(n *NetworkInterface) string { return n.AttachmentStatus }),
		"attachment.attachment-id":      attached(func(n *NetworkInterface) string { return n.attachmentID() }),
		"attachment.network-card-index": attached(func(n *NetworkInterface) string { return strconv.Itoa(int(n.NetworkCardIndex)) }),
		"attachment.device-index":       attached(func(n *NetworkInterface) string { return strconv.Itoa(int(n.DeviceIndex)) }),
	}
}

func describeInterfaces(w *World, p *params) (answer, error) {
	query, err := readFilters(p, interfaceFields(w), func(n *NetworkInterface) map[string]string { return n.Tags })
	if err != nil {
		return nil, err
	}
	ids := p.list("NetworkInterfaceId")
	page, err := usualPaging("NetworkInterfaceId", "NetworkInterfaceIds").request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := w.networkInterface(id); err != nil {
			return nil, err
		}
	}
	match := func(n *NetworkInterface) bool { return chosen(ids, n.ID) && query.match(n) }
	found, next := cut(page, sorted(w.Interfaces, match), func(n *NetworkInterface) string { return n.ID })
	out := &describeInterfacesAnswer{Next: next}
	for _, nic := range found {
		out.Interfaces = append(out.Interfaces, w.toInterfaceXML(nic))
	}
	return out, nil
}

// networkInterface looks one up, or says what is wrong with the id.
func (w *World) networkInterface(id string) (*NetworkInterface, error) {
	switch nic, ok := w.Interfaces[id]; {
	case ok:
		return nic, nil
	case id == "":
		return nil, missingParameter("networkInterfaceId")
	case !strings.HasPrefix(id, "eni-"):
		return nil, interfaceMalformed(id)
	default:
		return nil, interfaceNotFound(id)
	}
}

func (n *NetworkInterface) status() string {
	if n.AttachmentStatus == "" {
		return "available"
	}
	return "in-use"
}

func (n *NetworkInterface) owner() string {
	if n.Owner != "" {
		return n.Owner
	}
	return accountID
}

// checks source and destination, unless told not to.
func (n *NetworkInterface) checks() bool { return n.SourceDestCheck == nil || *n.SourceDestCheck }

func (w *World) toInterfaceXML(n *NetworkInterface) networkInterfaceXML {
	out := networkInterfaceXML{
		ID: n.ID, SubnetID: n.SubnetID, VPCID: w.vpcID(n), Zone: w.Subnets[n.SubnetID].Zone, Description: n.Description,
		Owner: accountID, Status: n.status(), Type: n.Type, MAC: n.MACAddress, SourceDestCheck: n.checks(),
		Groups: groupsXML(n.SecurityGroups), Tags: tagsXML(n.Tags),
	}
	if n.AttachmentStatus != "" {
		out.Attachment = &attachmentXML{
			ID: n.attachmentID(), InstanceID: n.InstanceID, Owner: n.owner(), DeviceIndex: n.DeviceIndex, CardIndex: n.NetworkCardIndex,
			Status: n.AttachmentStatus, Deletes: n.DeleteOnTermination,
		}
	}
	for _, addr := range n.ipv4() {
		out.Addresses4 = append(out.Addresses4, address4XML{Addr: addr.String(), Primary: addr == n.PrimaryIPv4})
	}
	if n.PrimaryIPv4.IsValid() {
		out.IPv4 = n.PrimaryIPv4.String()
	}
	for i, addr := range n.ipv6() {
		if i == 0 {
			out.IPv6 = addr.String()
		}
		out.Addresses6 = append(out.Addresses6, address6XML{Addr: addr.String(), Primary: n.FlagPrimaryIPv6 && addr == n.PrimaryIPv6})
	}
	for _, prefix := range n.IPv4Prefixes {
		out.Prefixes4 = append(out.Prefixes4, prefix4XML{prefix.String()})
	}
	for _, prefix := range n.IPv6Prefixes {
		out.Prefixes6 = append(out.Prefixes6, prefix6XML{prefix.String()})
	}
	return out
}

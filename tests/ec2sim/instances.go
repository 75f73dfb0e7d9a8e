// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import "strings"

func instanceActions() []action {
	return []action{{name: "DescribeInstances", run: describeInstances}}
}

type instanceXML struct {
	ID         string                `xml:"instanceId"`
	Type       string                `xml:"instanceType"`
	State      stateXML              `xml:"instanceState"`
	VPCID      string                `xml:"vpcId,omitempty"`
	SubnetID   string                `xml:"subnetId,omitempty"`
	Zone       string                `xml:"placement>availabilityZone"`
	IPv4       string                `xml:"privateIpAddress,omitempty"`
	IPv6       string                `xml:"ipv6Address,omitempty"`
	Interfaces []networkInterfaceXML `xml:"networkInterfaceSet>item"`
	Tags       []tagXML              `xml:"tagSet>item"`
}

type reservationXML struct {
	ID        string        `xml:"reservationId"`
	Owner     string        `xml:"ownerId"`
	Instances []instanceXML `xml:"instancesSet>item"`
}

type describeInstancesAnswer struct {
	head
	Reservations []reservationXML `xml:"reservationSet>item"`
	Next         string           `xml:"nextToken,omitempty"`
}

func instanceFields(nics map[string][]*NetworkInterface, w *World) fields[*Instance] {
	each := func(get func(*NetworkInterface) []string) func(*Instance) []string {
		return func(i *Instance) []string {
			var out []string
			for _, nic := range nics[i.ID] {
				out = append(out, get(nic)...)
			}
			return out
		}
	}
	known := fields[*Instance]{
		"instance-id":         func(i *Instance) []string { return one(i.ID) },
		"instance-type":       func(i *Instance) []string { return one(i.Type) },
		"instance-state-name": func(i *Instance) []string { return one(i.State) },
		"vpc-id":              func(i *Instance) []string { return one(i.VPCID) },
		"subnet-id":           func(i *Instance) []string { return one(i.SubnetID) },
		"availability-zone":   func(i *Instance) []string { return one(i.Zone) },
		"private-ip-address":  each(func(n *NetworkInterface) []string { return textsOf(n.ipv4()) }),
		"ipv6-address":        each(func(n *NetworkInterface) []string { return textsOf(n.ipv6()) }),
	}
	for name, get := range interfaceFields(w) {
		if !strings.HasPrefix(name, "attachment.instance") {
			known["network-interface."+name] = each(get)
		}
	}
	return known
}

// instancePaging words things in its own way, and takes more than the largest page as the largest.
func instancePaging() paging {
	return paging{
		smallest: 5, largest: 1000, clamps: true, ids: "InstanceId",
		tooSmall: func(n int) *Error {
			return invalidValue("Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than 5.", n)
		},
		withIDs: func() *Error {
			return client("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
		},
		badToken: func(string) *Error { return invalidValue("Unable to parse pagination token") },
	}
}

func describeInstances(w *World, p *params) (answer, error) {
	nics := w.attachedTo()
	query, err := readFilters(p, instanceFields(nics, w), func(i *Instance) map[string]string { return i.Tags })
	if err != nil {
		return nil, err
	}
	ids := p.list("InstanceId")
	page, err := instancePaging().request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if err := allExist(w.Instances, ids, "InvalidInstanceID.NotFound", "The instance ID '%s' does not exist"); err != nil {
		return nil, err
	}
	found, next := cut(page, sorted(w.Instances, func(i *Instance) bool { return chosen(ids, i.ID) && query.match(i) }),
		func(i *Instance) string { return i.ID })
	out := &describeInstancesAnswer{Next: next}
	for _, instance := range found {
		out.Reservations = append(out.Reservations, reservationXML{
			ID:        "r-" + strings.TrimPrefix(instance.ID, "i-"),
			Owner:     accountID,
			Instances: []instanceXML{w.toInstanceXML(instance, nics[instance.ID])},
		})
	}
	return out, nil
}

func (w *World) toInstanceXML(i *Instance, nics []*NetworkInterface) instanceXML {
	codes := map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
	out := instanceXML{
		ID: i.ID, Type: i.Type, State: stateXML{codes[i.State], i.State}, VPCID: i.VPCID, SubnetID: i.SubnetID, Zone: i.Zone,
		Tags: tagsXML(i.Tags),
	}
	for _, nic := range nics {
		item := w.toInterfaceXML(nic)
		if nic.isPrimary() {
			out.IPv4, out.IPv6 = item.IPv4, item.IPv6
		}
		out.Interfaces = append(out.Interfaces, item)
	}
	return out
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import "strconv"

func instanceTypeActions() []action {
	return []action{{name: "DescribeInstanceTypes", run: describeInstanceTypes}}
}

type cardXML struct {
	Index         int `xml:"networkCardIndex"`
	MaxInterfaces int `xml:"maximumNetworkInterfaces"`
}

type networkInfoXML struct {
	MaxInterfaces    int       `xml:"maximumNetworkInterfaces"`
	MaxCards         int       `xml:"maximumNetworkCards"`
	DefaultCard      int       `xml:"defaultNetworkCardIndex"`
	Cards            []cardXML `xml:"networkCards>item"`
	IPv4PerInterface int       `xml:"ipv4AddressesPerInterface"`
	IPv6PerInterface int       `xml:"ipv6AddressesPerInterface"`
	IPv6             bool      `xml:"ipv6Supported"`
	EFA              bool      `xml:"efaSupported"`
}

type instanceTypeXML struct {
	Name       string         `xml:"instanceType"`
	Hypervisor string         `xml:"hypervisor,omitempty"`
	BareMetal  bool           `xml:"bareMetal"`
	Network    networkInfoXML `xml:"networkInfo"`
}

type describeInstanceTypesAnswer struct {
	head
	Types []instanceTypeXML `xml:"instanceTypeSet>item"`
	Next  string            `xml:"nextToken,omitempty"`
}

func instanceTypeFields() fields[InstanceType] {
	return fields[InstanceType]{
		"instance-type":               func(t InstanceType) []string { return one(t.Name) },
		"hypervisor":                  func(t InstanceType) []string { return one(t.Hypervisor) },
		"bare-metal":                  func(t InstanceType) []string { return one(strconv.FormatBool(t.BareMetal)) },
		"network-info.ipv6-supported": func(t InstanceType) []string { return one(strconv.FormatBool(t.IPv6)) },
		"network-info.efa-supported":  func(t InstanceType) []string { return one(strconv.FormatBool(t.EFA)) },
		"network-info.maximum-network-interfaces": func(t InstanceType) []string {
			return one(strconv.Itoa(t.MaxInterfaces))
		},
		"network-info.ipv4-addresses-per-interface": func(t InstanceType) []string {
			return one(strconv.Itoa(t.IPv4PerInterface))
		},
		"network-info.ipv6-addresses-per-interface": func(t InstanceType) []string {
			return one(strconv.Itoa(t.IPv6PerInterface))
		},
	}
}

// instanceTypePaging has the smallest pages of all, and pages even when nobody asks for it.
func instanceTypePaging() paging {
	out := usualPaging("InstanceType", "InstanceTypes")
	out.largest, out.usual = 100, 100
	wrong := func(n int) *Error {
		return client("InvalidMaxResults", "Value ( %d ) for parameter maxResults is invalid. Expecting a value from ( 5 ) to  ( 100 ).", n)
	}
	out.tooSmall, out.tooLarge = wrong, wrong
	return out
}

func describeInstanceTypes(w *World, p *params) (answer, error) {
	query, err := readFilters(p, instanceTypeFields(), func(InstanceType) map[string]string { return nil })
	if err != nil {
		return nil, err
	}
	names := p.list("InstanceType")
	page, err := instanceTypePaging().request(p)
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if err := allExist(w.Types, names, "InvalidInstanceType", "The following supplied instance types do not exist: [%s]"); err != nil {
		return nil, err
	}
	found, next := cut(page, sorted(w.Types, func(t InstanceType) bool { return chosen(names, t.Name) && query.match(t) }),
		func(t InstanceType) string { return t.Name })
	out := &describeInstanceTypesAnswer{Next: next}
	for _, t := range found {
		out.Types = append(out.Types, toInstanceTypeXML(t))
	}
	return out, nil
}

func toInstanceTypeXML(t InstanceType) instanceTypeXML {
	out := instanceTypeXML{Name: t.Name, Hypervisor: t.Hypervisor, BareMetal: t.BareMetal, Network: networkInfoXML{
		MaxInterfaces:    t.MaxInterfaces,
		MaxCards:         len(t.Cards),
		DefaultCard:      t.DefaultCard,
		IPv4PerInterface: t.IPv4PerInterface,
		IPv6PerInterface: t.IPv6PerInterface,
		IPv6:             t.IPv6,
		EFA:              t.EFA,
	}}
	for i, n := range t.Cards {
		out.Network.Cards = append(out.Network.Cards, cardXML{Index: i, MaxInterfaces: n})
	}
	return out
}

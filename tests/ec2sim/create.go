// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"fmt"
	"maps"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

func createActions() []action {
	return []action{
		{name: "CreateNetworkInterface", writes: true, run: createInterface},
		{name: "DeleteNetworkInterface", writes: true, run: deleteInterface},
		{name: "CreateTags", writes: true, run: createTags},
	}
}

type createInterfaceAnswer struct {
	head
	Interface networkInterfaceXML `xml:"networkInterface"`
	Token     string              `xml:"clientToken,omitempty"`
}

// order is what a request to create an interface asks for.
type order struct {
	subnet, description, kind, token string
	primary                          string
	flagPrimary6                     bool
	groups                           []string
	tags                             map[string]string
	wish4, wish6                     wish
	digest                           uint64
}

func readOrder(p *params) (o order, err error) {
	o = order{subnet: p.text("SubnetId"), description: p.text("Description"), kind: p.text("InterfaceType"), token: p.text("ClientToken"),
		primary: p.text("PrivateIpAddress"), groups: p.list("SecurityGroupId"), digest: digest(p.values)}
	if o.flagPrimary6, err = p.flag("EnablePrimaryIpv6"); err != nil {
		return o, err
	}
	for i := 1; p.values.Has(indexed("PrivateIpAddresses", i) + ".PrivateIpAddress"); i++ {
		addr := p.text(indexed("PrivateIpAddresses", i) + ".PrivateIpAddress")
		primary, err := p.flag(indexed("PrivateIpAddresses", i) + ".Primary")
		switch {
		case err != nil:
			return o, err
		case primary:
			o.primary = addr
		default:
			o.wish4.addrs = append(o.wish4.addrs, addr)
		}
	}
	if o.wish4.addrCount, o.wish4.hasAddrCount, err = p.count("SecondaryPrivateIpAddressCount"); err != nil {
		return o, err
	}
	if o.wish4.prefixCount, o.wish4.hasPrefix, err = p.count("Ipv4PrefixCount"); err != nil {
		return o, err
	}
	o.wish4.prefixes = p.members("Ipv4Prefix", "Ipv4Prefix")
	if o.wish6.addrCount, o.wish6.hasAddrCount, err = p.count("Ipv6AddressCount"); err != nil {
		return o, err
	}
	if o.wish6.prefixCount, o.wish6.hasPrefix, err = p.count("Ipv6PrefixCount"); err != nil {
		return o, err
	}
	o.wish6.addrs, o.wish6.prefixes = p.members("Ipv6Addresses", "Ipv6Address"), p.members("Ipv6Prefix", "Ipv6Prefix")
	for i := 1; p.values.Has(indexed("TagSpecification", i) + ".ResourceType"); i++ {
		if kind := p.text(indexed("TagSpecification", i) + ".ResourceType"); kind != "network-interface" {
			return o, invalidValue("'%s' is not a valid taggable resource type for this operation.", kind)
		}
		if o.tags, err = readTags(p, indexed("TagSpecification", i)+".Tag"); err != nil {
			return o, err
		}
	}
	return o, p.end()
}

// createInterface makes an interface that is attached to nothing. Everything that it asks for must be had.
func createInterface(w *World, p *params) (answer, error) {
	o, err := readOrder(p)
	if err != nil {
		return nil, err
	}
	// A repeated request gives the same interface: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
	if made, ok := w.made[o.token]; ok && o.token != "" {
		if made.digest != o.digest {
			return nil, client("IdempotentParameterMismatch", "The client token has been used with different parameters: %s", o.token)
		}
		if nic := w.Interfaces[made.id]; nic != nil {
			return &createInterfaceAnswer{Interface: w.toInterfaceXML(nic), Token: o.token}, nil
		}
	}
	subnet := w.Subnets[o.subnet]
	switch {
	case o.subnet == "":
		return nil, missingParameter("subnetId")
	case subnet == nil:
		return nil, client("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", o.subnet)
	}
	if known := w.Items["DescribeSecurityGroups"]; len(known) > 0 {
		if err := allExist(known, o.groups, "InvalidGroup.NotFound", "The security group '%s' does not exist"); err != nil {
			return nil, err
		}
	}
	n := w.created + 1
	nic := &NetworkInterface{Type: "interface", Description: o.description, FlagPrimaryIPv6: o.flagPrimary6, Interface: v1alpha1.Interface{
		ID: fmt.Sprintf("eni-%017x", 0xc0000+n), MACAddress: fmt.Sprintf("0a:ec:25:%02x:%02x:%02x", n>>16&0xff, n>>8&0xff, n&0xff),
		SubnetID: o.subnet, SecurityGroups: o.groups, Tags: o.tags,
	}}
	if o.kind != "" {
		nic.Type = o.kind
	}
	// In the world while its addresses are chosen, so that none is chosen twice; taken out again when one cannot be had.
	w.Interfaces[nic.ID] = nic
	if err := w.furnish(nic, subnet, o); err != nil {
		delete(w.Interfaces, nic.ID)
		return nil, err
	}
	w.created = n
	if o.token != "" {
		w.made[o.token] = making{nic.ID, o.digest}
	}
	return &createInterfaceAnswer{Interface: w.toInterfaceXML(nic), Token: o.token}, nil
}

// furnish gives a new interface its addresses. An efa-only one has none.
func (w *World) furnish(nic *NetworkInterface, subnet *Subnet, o order) error {
	if nic.Type == "efa-only" {
		return nil
	}
	if subnet.CIDR.IsValid() {
		if err := w.givePrimary(nic, subnet, o.primary); err != nil {
			return err
		}
	}
	if o.wish4.isSet() {
		if err := o.wish4.check("private-ip-addresses", "secondary-private-ip-address-count", "ipv4-prefix", "ipv4-prefix-count"); err != nil {
			return err
		}
		if _, err := w.assign4(nic, o.wish4, false); err != nil {
			return err
		}
	}
	if !subnet.CIDR.IsValid() && !o.wish6.isSet() {
		o.wish6 = wish{addrCount: 1, hasAddrCount: true} // an interface of an IPv6-only subnet has an address
	}
	if !o.wish6.isSet() {
		return nil
	}
	if err := o.wish6.check("ipv6-addresses", "ipv6-addresses-count", "ipv6-prefix", "ipv6-prefix-count"); err != nil {
		return err
	}
	if _, err := w.assign6(nic, o.wish6); err != nil {
		return err
	}
	if nic.FlagPrimaryIPv6 && len(nic.SecondaryIPv6) > 0 {
		nic.PrimaryIPv6, nic.SecondaryIPv6 = nic.SecondaryIPv6[0], nic.SecondaryIPv6[1:]
	}
	return nil
}

func (w *World) givePrimary(nic *NetworkInterface, subnet *Subnet, text string) error {
	space := w.space4(subnet)
	if text == "" {
		free := space.freeAddrs(1)
		if len(free) == 0 {
			return noFreeAddresses()
		}
		nic.PrimaryIPv4 = free[0]
		return nil
	}
	addr, at, err := space.parse(text)
	if err != nil {
		return err
	}
	if space.holder[at] != nil {
		return client("InvalidIPAddress.InUse", "Address %s is in use.", text)
	}
	nic.PrimaryIPv4 = addr
	return nil
}

func (q wish) isSet() bool {
	return len(q.addrs)+len(q.prefixes) > 0 || q.hasAddrCount || q.hasPrefix
}

func deleteInterface(w *World, p *params) (answer, error) {
	id := p.text("NetworkInterfaceId")
	if err := p.end(); err != nil {
		return nil, err
	}
	nic, err := w.networkInterface(id)
	if err != nil {
		return nil, err
	}
	if nic.AttachmentStatus != "" {
		// https://github.com/gruntwork-io/cloud-nuke/pull/1132
		return nil, invalidValue("Network interface '%s' is currently in use.", id)
	}
	delete(w.Interfaces, id)
	return &done{Return: true}, nil
}

// maxTags of a resource, those of AWS aside.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
const maxTags = 50

// createTags adds to interfaces, subnets, VPCs and instances, and replaces values.
func createTags(w *World, p *params) (answer, error) {
	ids := p.list("ResourceId")
	tags, err := readTags(p, "Tag")
	if err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, missingParameter("resourceIdSet")
	}
	var targets []*map[string]string
	for _, id := range ids {
		target, err := w.tagsOf(id)
		if err != nil {
			return nil, err
		}
		more := maps.Clone(*target)
		if more == nil {
			more = map[string]string{}
		}
		if maps.Copy(more, tags); len(more) > maxTags {
			return nil, client("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
		}
		targets = append(targets, target)
	}
	for _, target := range targets {
		if *target == nil {
			*target = map[string]string{}
		}
		maps.Copy(*target, tags)
	}
	return &done{Return: true}, nil
}

func (w *World) tagsOf(id string) (*map[string]string, error) {
	kind, _, _ := strings.Cut(id, "-")
	switch kind {
	case "eni":
		nic, err := w.networkInterface(id)
		if err != nil {
			return nil, err
		}
		return &nic.Tags, nil
	case "subnet":
		if subnet := w.Subnets[id]; subnet != nil {
			return &subnet.Tags, nil
		}
		return nil, client("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
	case "i":
		if instance := w.Instances[id]; instance != nil {
			return &instance.Tags, nil
		}
		return nil, client("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	return nil, client("InvalidID", "The ID '%s' is not valid", id)
}

func readTags(p *params, name string) (map[string]string, error) {
	out := map[string]string{}
	for i := 1; p.values.Has(indexed(name, i) + ".Key"); i++ {
		key := p.text(indexed(name, i) + ".Key")
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return nil, invalidValue("Tag keys starting with 'aws:' are reserved for internal use")
		}
		out[key] = p.text(indexed(name, i) + ".Value")
	}
	return out, nil
}

// making is what came of a request with a client token.
type making struct {
	id     string
	digest uint64
}

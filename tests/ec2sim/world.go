// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// World is what the simulator knows, by id. Change it inside Server.Update only.
type World struct {
	VPCs       map[string]*VPC
	Subnets    map[string]*Subnet
	Instances  map[string]*Instance
	Interfaces map[string]*NetworkInterface
	Types      map[string]InstanceType
	// Reservations of parts of subnets.
	Reservations map[string]*Reservation
	// Items that are only shown, by the action that shows them, and id.
	Items map[string]map[string]Item

	// created counts interfaces, and made remembers by client token which request made which.
	created int
	made    map[string]making
	// attachTakes is how long attaching and detaching take.
	attachTakes time.Duration
	// now is the clock.
	now func() time.Time
}

// VPC with its tags.
type VPC struct {
	v1alpha1.VPC
	Tags map[string]string
}

// Subnet as EC2 knows it. One with an OwnerID is shared with the account by another. AvailableIPv4 is not used: what is
// free is counted.
type Subnet struct{ v1alpha1.Subnet }

// Instance as EC2 knows it.
type Instance struct {
	ID, Type, VPCID, SubnetID, Zone string
	// State such as running.
	State string
	Tags  map[string]string
}

// NetworkInterface is an ENI. Name and MTU of the embedded Interface are the node's and not used.
type NetworkInterface struct {
	v1alpha1.Interface
	// InstanceID that it is attached to; empty for none.
	InstanceID string
	// Owner of the instance when that is not the account's, such as amazon-elb.
	Owner string
	// AttachmentStatus is attaching, attached or detaching.
	AttachmentStatus string
	// Type is interface, efa, efa-only, trunk, lambda and so on.
	Type string
	// FlagPrimaryIPv6 makes PrimaryIPv6 EC2's primary one. Few interfaces have it: it must be asked for at creation.
	FlagPrimaryIPv6 bool
	Description     string
	// AttachmentID of the attachment, and whether EC2 deletes the interface with the instance.
	AttachmentID        string
	DeleteOnTermination bool

	// settles is when attaching or detaching is done.
	settles time.Time
}

// Load makes a world of an inventory. References must hold, and instance types must be known; whether addresses make
// sense is not looked at.
func Load(inv v1alpha1.Inventory) (*World, error) {
	types, err := knownTypes()
	if err != nil {
		return nil, err
	}
	w := &World{
		VPCs:       map[string]*VPC{},
		Subnets:    map[string]*Subnet{},
		Instances:  map[string]*Instance{},
		Interfaces: map[string]*NetworkInterface{},
		Types:      types,
		made:       map[string]making{},
		now:        time.Now,
	}
	if w.Reservations, err = loadReservations(inv); err != nil {
		return nil, err
	}
	if w.Items, err = loadItems(inv); err != nil {
		return nil, err
	}
	for _, t := range inv.InstanceTypes {
		w.Types[t.Name] = w.Types[t.Name].with(t)
	}
	for _, vpc := range inv.VPCs {
		if err := put(w.VPCs, vpc.ID, &VPC{VPC: vpc}); err != nil {
			return nil, err
		}
	}
	for _, subnet := range inv.Subnets {
		if err := w.AddSubnet(subnet); err != nil {
			return nil, err
		}
	}
	for _, node := range inv.Nodes {
		if err := w.AddNode(node); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func put[T any](m map[string]T, id string, item T) error {
	if id == "" {
		return fmt.Errorf("something of the inventory has no id")
	}
	if _, ok := m[id]; ok {
		return fmt.Errorf("%s is in the inventory twice", id)
	}
	m[id] = item
	return nil
}

// AddSubnet adds a subnet. One that names no VPC is in the only one, or in vpc-0.
func (w *World) AddSubnet(subnet v1alpha1.Subnet) error {
	if subnet.VPCID == "" {
		subnet.VPCID = "vpc-0"
		if len(w.VPCs) == 1 {
			subnet.VPCID = slices.Collect(maps.Keys(w.VPCs))[0]
		} else if w.VPCs["vpc-0"] == nil {
			w.VPCs["vpc-0"] = &VPC{VPC: v1alpha1.VPC{ID: "vpc-0"}}
		}
	}
	if w.VPCs[subnet.VPCID] == nil {
		return fmt.Errorf("subnet %s is in VPC %s, which the inventory does not have", subnet.ID, subnet.VPCID)
	}
	return put(w.Subnets, subnet.ID, &Subnet{subnet})
}

// AddNode adds a node's instance and interfaces; nothing for a node without instanceID.
func (w *World) AddNode(node v1alpha1.Node) error {
	if node.InstanceID == "" {
		return nil
	}
	instance := &Instance{ID: node.InstanceID, Type: cmp.Or(node.InstanceType, "m5.large"), State: "running"}
	if _, ok := w.Types[instance.Type]; !ok {
		return fmt.Errorf("node %s: instance type %s is not known; add it to the inventory's instanceTypes", node.Name, instance.Type)
	}
	if err := put(w.Instances, instance.ID, instance); err != nil {
		return err
	}
	for _, nic := range node.Interfaces {
		if err := w.AddInterface(NetworkInterface{Interface: nic, InstanceID: instance.ID}); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return nil
}

// AddInterface adds an ENI; one with an InstanceID as attached.
func (w *World) AddInterface(nic NetworkInterface) error {
	subnet := w.Subnets[nic.SubnetID]
	if subnet == nil {
		return fmt.Errorf("interface %s is in subnet %s, which the inventory does not have", nic.ID, nic.SubnetID)
	}
	nic.Type = cmp.Or(nic.Type, "interface")
	nic.MACAddress = strings.ToLower(nic.MACAddress)
	if nic.InstanceID != "" {
		nic.AttachmentStatus = cmp.Or(nic.AttachmentStatus, "attached")
	}
	// The world's lists are its own: assigning must not reach into the caller's inventory.
	nic.SecondaryIPv4, nic.SecondaryIPv6 = slices.Clone(nic.SecondaryIPv4), slices.Clone(nic.SecondaryIPv6)
	nic.IPv4Prefixes, nic.IPv6Prefixes = slices.Clone(nic.IPv4Prefixes), slices.Clone(nic.IPv6Prefixes)
	nic.Tags = maps.Clone(nic.Tags)
	if err := put(w.Interfaces, nic.ID, &nic); err != nil {
		return err
	}
	// An instance is where its first interface is.
	if instance := w.Instances[nic.InstanceID]; instance != nil && (instance.SubnetID == "" || nic.isPrimary()) {
		instance.SubnetID, instance.VPCID, instance.Zone = subnet.ID, subnet.VPCID, subnet.Zone
	}
	return nil
}

// RemoveInstance takes an instance away with its interfaces.
func (w *World) RemoveInstance(id string) {
	delete(w.Instances, id)
	maps.DeleteFunc(w.Interfaces, func(_ string, nic *NetworkInterface) bool { return nic.InstanceID == id })
}

func (n *NetworkInterface) isPrimary() bool { return n.DeviceIndex == 0 && n.NetworkCardIndex == 0 }

// vpcID of the interface's subnet.
func (w *World) vpcID(nic *NetworkInterface) string { return w.Subnets[nic.SubnetID].VPCID }

// ipv4 are all single addresses, the primary one first.
func (n *NetworkInterface) ipv4() []netip.Addr {
	return append(valid(n.PrimaryIPv4), n.SecondaryIPv4...)
}

// ipv6 are all single addresses, the primary one first.
func (n *NetworkInterface) ipv6() []netip.Addr {
	return append(valid(n.PrimaryIPv6), n.SecondaryIPv6...)
}

func valid(addr netip.Addr) []netip.Addr {
	if addr.IsValid() {
		return []netip.Addr{addr}
	}
	return nil
}

// sorted gives the matching values of a map in the order of their ids.
func sorted[T any](m map[string]T, match func(T) bool) []T {
	var out []T
	for _, id := range slices.Sorted(maps.Keys(m)) {
		if match(m[id]) {
			out = append(out, m[id])
		}
	}
	return out
}

// attachedTo gives the interfaces of each instance, sorted by card and device index.
func (w *World) attachedTo() map[string][]*NetworkInterface {
	out := map[string][]*NetworkInterface{}
	for _, nic := range w.Interfaces {
		if nic.InstanceID != "" {
			out[nic.InstanceID] = append(out[nic.InstanceID], nic)
		}
	}
	for _, nics := range out {
		slices.SortFunc(nics, func(a, b *NetworkInterface) int {
			return cmp.Or(cmp.Compare(a.NetworkCardIndex, b.NetworkCardIndex), cmp.Compare(a.DeviceIndex, b.DeviceIndex), cmp.Compare(a.ID, b.ID))
		})
	}
	return out
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// MTU is a VPC's.
const MTU = 9001

// Subnet is a VPC's subnet. One of the families may be missing.
type Subnet struct {
	Name string
	IPv4 netip.Prefix
	IPv6 netip.Prefix
}

// ENI is a network interface of a node.
type ENI struct {
	Name   string // unique in the fabric
	Subnet string // a subnet's name
	MAC    net.HardwareAddr
	Bound  []netip.Prefix // addresses, as /32 and /128, and prefixes
}

// Fabric is a VPC.
type Fabric struct {
	router  *netns.Namespace
	outside *netns.Namespace
	links   *netlink.Handle // the router's
	filter  filter
	subnets []*subnet
	ports   []*port
	created int // ports, ever: their names are never used again
}

// subnet is a Subnet with its bridge in the router's namespace.
type subnet struct {
	Subnet
	bridge *netlink.Bridge
}

// New makes a VPC with these subnets and without ENIs.
func New(subnets ...Subnet) (*Fabric, error) {
	f := &Fabric{}
	if err := f.build(subnets); err != nil {
		return nil, errors.Join(fmt.Errorf("build the VPC: %w", err), f.Close())
	}
	return f, nil
}

func (f *Fabric) build(subnets []Subnet) error {
	var err error
	if f.router, err = netns.New(); err != nil {
		return err
	}
	if f.links, err = f.router.Links(); err != nil {
		return err
	}
	if err := f.makeRouter(); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	for _, s := range subnets {
		if err := f.addSubnet(s); err != nil {
			return fmt.Errorf("subnet %s: %w", s.Name, err)
		}
	}
	if err := f.connectOutside(); err != nil {
		return fmt.Errorf("outside: %w", err)
	}
	f.filter = newFilter(f.router.FD())
	return f.filter.install()
}

// Router is the router's namespace. What listens there on an address of MetadataAddresses is the metadata service.
func (f *Fabric) Router() *netns.Namespace { return f.router }

// Outside is the internet's namespace. It has the addresses of OutsideAddresses.
func (f *Fabric) Outside() *netns.Namespace { return f.outside }

// Drops returns how many frames were dropped, by reason, since the fabric was made.
func (f *Fabric) Drops() (map[Reason]uint64, error) { return f.filter.drops("") }

// DropsOf returns how many frames from the ENI were dropped before they reached the router.
func (f *Fabric) DropsOf(eni string) (map[Reason]uint64, error) {
	p, err := f.port(eni)
	if err != nil {
		return nil, err
	}
	return f.filter.drops(p.link)
}

// SetFilter switches the filter off and on again. Without it a subnet is an ordinary switch.
func (f *Fabric) SetFilter(on bool) error {
	for _, p := range f.ports {
		if err := f.setSwitching(p, !on); err != nil {
			return fmt.Errorf("switch the filter of ENI %s: %w", p.Name, err)
		}
	}
	if on {
		return f.filter.addRules()
	}
	return f.filter.removeRules()
}

// Close removes the VPC. Nodes lose their ENIs.
func (f *Fabric) Close() error {
	var errs []error
	for _, p := range slices.Clone(f.ports) {
		errs = append(errs, f.Detach(p.Name))
	}
	if f.links != nil {
		f.links.Close()
	}
	for _, namespace := range []*netns.Namespace{f.outside, f.router} {
		if namespace != nil {
			errs = append(errs, namespace.Close())
		}
	}
	return errors.Join(errs...)
}

func (f *Fabric) subnet(name string) (*subnet, error) {
	for _, s := range f.subnets {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no subnet %s", name)
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// Check compares a pod's interface with its record, with the result of ADD and with the node file, and names what differs.
func (p *Plugin) Check(args *Call) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	told, err := c.toldAddresses()
	if err != nil {
		return err
	}
	wishes, err := c.wishes()
	if err != nil {
		return err
	}
	environment, err := parseArgs(args.Args)
	if err != nil {
		return err
	}
	namespace, err := datapath.OpenNamespace(args.Netns)
	if err != nil {
		return err
	}
	defer namespace.Close()
	links, err := p.openDatapath()
	if err != nil {
		return err
	}
	defer links.Close()
	e, differences, err := p.recorded(args, c, wishes, ipam.Request{
		Owner: owner(args), Network: c.Network, Pod: environment.pod, Netns: ipam.Netns{Path: args.Netns, Inode: namespace.Inode},
	})
	if err != nil {
		return err
	}
	for _, a := range e.Addresses {
		if !slices.Contains(told, a.Prefix) {
			differences = append(differences, fmt.Sprintf("the result of ADD lacks the address %s", a.Prefix))
		}
	}
	if len(e.Addresses) > 0 {
		found, err := links.Check(namespace, e)
		if err != nil {
			return err
		}
		differences = append(differences, found...)
	}
	if len(differences) > 0 {
		return types.NewError(CodeDamaged, fmt.Sprintf("interface %s of container %s is not as it should be: %s; delete the pod, and it comes back whole",
			args.IfName, args.ContainerID, strings.Join(differences, "; ")), "")
	}
	return nil
}

// recorded says what the record and the node file want the interface to be; there is no endpoint where they do not know it.
func (p *Plugin) recorded(args *Call, c *config, w wishes, request ipam.Request) (datapath.Endpoint, []string, error) {
	var e datapath.Endpoint
	var differences []string
	err := p.withStore(func(s *ipam.Store) error {
		r, known, err := s.Get(request.Owner)
		switch {
		case err != nil:
			return err
		case !known:
			differences = append(differences, "it has no address in the allocation store")
			return nil
		case r.Network != c.Network:
			differences = append(differences, fmt.Sprintf("its addresses are of network %q, and the configuration is of network %s", r.Network, c.Network))
			return nil
		case r.Netns.Inode != request.Netns.Inode:
			differences = append(differences, "its addresses are held for another network namespace, "+r.Netns.Path)
			return nil
		}
		node, err := p.readNodeFile()
		if err != nil {
			return err
		}
		allocation, err := ipam.Describe(node, r) // writes nothing: the disk may be full
		if err != nil {
			return err
		}
		e, err = endpoint(node, allocation, identity(args), w)
		return err
	})
	return e, differences, err
}

// toldAddresses are those of the result of ADD, which the runtime passes on.
func (c *config) toldAddresses() ([]netip.Prefix, error) {
	previous, err := c.previous()
	if err != nil {
		return nil, err
	}
	if previous == nil {
		return nil, invalid("CNI configuration %s: CHECK needs prevResult, the result of ADD", c.Name)
	}
	var list []netip.Prefix
	for _, ip := range previous.IPs {
		if a, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			bits, _ := ip.Address.Mask.Size()
			list = append(list, netip.PrefixFrom(a.Unmap(), bits))
		}
	}
	return list, nil
}

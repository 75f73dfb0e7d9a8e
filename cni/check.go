// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"fmt"
	"net"
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
	told, err := c.told()
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
	told.leaveRoutes(&e)
	for _, a := range e.Addresses {
		if !slices.Contains(told.addresses, a.Prefix) {
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

// told is the result of ADD, which the runtime passes on.
type told struct {
	addresses []netip.Prefix
	routes    []datapath.Route
}

func (c *config) told() (told, error) {
	var t told
	previous, err := c.previous()
	if err != nil {
		return t, err
	}
	if previous == nil {
		return t, invalid("CNI configuration %s: CHECK needs prevResult, the result of ADD", c.Name)
	}
	for _, ip := range previous.IPs {
		if p, ok := prefix(ip.Address); ok {
			t.addresses = append(t.addresses, p)
		}
	}
	for _, r := range previous.Routes {
		destination, ok := prefix(r.Dst)
		gateway, known := netip.AddrFromSlice(r.GW)
		if ok && known {
			t.routes = append(t.routes, datapath.Route{Destination: destination, Gateway: gateway.Unmap()})
		}
	}
	return t, nil
}

func prefix(n net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits), ok
}

// leaveRoutes leaves to an endpoint the routes that ADD told, and its default gateways: a pod keeps those with which it started, whatever its network has
// by now.
func (t told) leaveRoutes(e *datapath.Endpoint) {
	e.Routes = slices.DeleteFunc(e.Routes, func(r datapath.Route) bool { return !slices.Contains(t.routes, r) })
	for i, a := range e.Addresses {
		for _, r := range t.routes {
			if r.Destination.Bits() == 0 && a.Reaches(r.Gateway) && e.Primary {
				e.Addresses[i].Gateway = r.Gateway
			}
		}
	}
}

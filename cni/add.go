// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// replacements is how many addresses that turn out to be in use one ADD replaces. More than a few say that the store is wrong, not the address.
const replacements = 8

// Add attaches a pod and prints the result. Repeated, it gives the same result.
func (p *Plugin) Add(args *Call) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	e, err := parseArgs(args.Args)
	if err != nil {
		return err
	}
	pod := e.pod
	wanted, err := c.wanted(e.ips)
	if err != nil {
		return err
	}
	wishes, err := c.wishes()
	if err != nil {
		return err
	}
	previous, err := c.previous()
	if err != nil {
		return err
	}
	namespace, err := datapath.OpenNamespace(args.Netns)
	if err != nil {
		return ofPod(pod, args.IfName, err)
	}
	defer namespace.Close()
	links, err := p.openDatapath()
	if err != nil {
		return err
	}
	defer links.Close()
	a := &attachment{
		Plugin: p, config: c, args: args, namespace: namespace, links: links, wishes: wishes, previous: previous,
		request: ipam.Request{
			Owner: owner(args), Network: c.Network, Pod: pod, Wanted: wanted, Missing: links.Missing,
			Netns: ipam.Netns{Path: args.Netns, Inode: namespace.Inode},
		},
	}
	return ofPod(pod, args.IfName, a.add())
}

// attachment is one ADD.
type attachment struct {
	*Plugin
	config    *config
	args      *Call
	namespace *datapath.Namespace
	links     *datapath.Datapath
	wishes    wishes
	previous  *types100.Result // of the plugins ahead of this one; nil if there are none
	request   ipam.Request

	node       *nodefile.File
	allocation ipam.Allocation
}

func (a *attachment) add() error {
	if err := a.allocate(); err != nil {
		return err
	}
	endpoint, made, err := a.apply()
	if err != nil {
		return a.giveBack(err)
	}
	err = a.print(behind(a.previous, result(endpoint, made, a.args.Netns)), a.config.CNIVersion)
	if err == nil {
		err = a.after(StepAnswer)
	}
	if err == nil || a.allocation.Again {
		return err
	}
	// Nobody has heard of the interface.
	if undo := a.links.Remove(a.namespace, identity(a.args)); undo != nil {
		return &datapath.LeftoverError{Err: err, Undo: undo}
	}
	return a.giveBack(err)
}

// allocate takes addresses.
func (a *attachment) allocate() error {
	err := a.withStore(func(s *ipam.Store) error {
		var err error
		if a.node, err = a.readNodeFile(); err != nil {
			return err
		}
		a.allocation, err = s.Allocate(a.node, a.request)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.after(StepAllocate); err != nil {
		return a.giveBack(err)
	}
	return nil
}

// apply makes the links. An address that somebody else uses on this node is set aside, and the next one taken.
func (a *attachment) apply() (datapath.Endpoint, datapath.Links, error) {
	for try := 0; ; try++ {
		e, err := endpoint(a.node, a.allocation, identity(a.args), a.wishes)
		if err != nil {
			return e, datapath.Links{}, err
		}
		made, err := a.links.Apply(a.namespace, e)
		used, ok := errors.AsType[*datapath.AddressInUseError](err)
		if !ok || try == replacements || is[*datapath.LeftoverError](err) {
			return e, made, err
		}
		a.log(fmt.Sprintf("%v: it is set aside for some minutes, and another one is taken", used))
		err = a.withStore(func(s *ipam.Store) error {
			var err error
			if a.node, err = a.readNodeFile(); err != nil {
				return err
			}
			a.allocation, err = s.Replace(a.node, a.request, used.Address)
			return err
		})
		if err != nil {
			return e, made, errors.Join(used, err)
		}
	}
}

// giveBack cancels the allocation of an ADD that failed, unless an earlier ADD succeeded with it, or a link still has the addresses: DEL comes then.
func (a *attachment) giveBack(cause error) error {
	if a.allocation.Again || is[*datapath.LeftoverError](cause) {
		return cause
	}
	err := a.withStore(func(s *ipam.Store) error { return s.Cancel(a.request.Owner) })
	if err != nil {
		return fmt.Errorf("%w; and its addresses could not be given back (DEL does it): %w", cause, err)
	}
	return cause
}

// endpoint says what the datapath is to make of an allocation. The error is of what the pod asks for.
func endpoint(node *nodefile.File, allocation ipam.Allocation, id datapath.Identity, w wishes) (datapath.Endpoint, error) {
	network := node.Network(allocation.Record.Network)
	e := datapath.Endpoint{Identity: id, MAC: allocation.Interface.MAC, MTU: network.MTU, Primary: id.Name == primaryName, Bandwidth: w.limits}
	e.BlockMetadata = network.MetadataService.Blocks(allocation.Record.Pod.Namespace)
	for _, a := range allocation.Addresses {
		e.Addresses = append(e.Addresses, datapath.Address{Prefix: a.Prefix, Gateway: a.Gateway})
	}
	routes, err := w.routesOn(e.Addresses, network)
	for _, r := range routes {
		if r.Destination.Bits() > 0 {
			e.Routes = append(e.Routes, r)
			continue
		}
		for i, a := range e.Addresses { // a default route takes the place of that by the pool's gateway
			if a.Prefix.Addr().Is4() == r.Gateway.Is4() {
				e.Addresses[i].Gateway = r.Gateway
			}
		}
	}
	if network.HostLeg.Enabled && e.Primary {
		e.HostLeg = &datapath.HostLeg{Node: node.Node.Addresses, CIDRs: network.HostLeg.CIDRs, Forward: forward(node), Pods: node.HostLegPods(e.MAC)}
	}
	return e, err
}

// forward lists what any host leg of the node may be used for.
func forward(node *nodefile.File) []netip.Prefix {
	var list []netip.Prefix
	for _, n := range node.Networks {
		if n.HostLeg.Enabled {
			list = append(list, n.HostLeg.CIDRs...)
		}
	}
	slices.SortFunc(list, netip.Prefix.Compare)
	return slices.Compact(list)
}

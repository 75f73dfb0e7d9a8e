// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// wishes are what a pod asks for besides addresses. They are the same at ADD and CHECK.
type wishes struct {
	limits datapath.Bandwidth
	// routes without gateway go by the pool's.
	routes []datapath.Route
}

func (c *config) wishes() (wishes, error) {
	limits, err := c.bandwidth()
	if err != nil {
		return wishes{}, err
	}
	routes, err := c.routes()
	return wishes{limits: limits, routes: routes}, err
}

// routesOn an interface with these addresses: those that the pod asks for, and the network's to other destinations. A network may be on several subnets:
// of its routes those apply whose gateway can be reached from here, to each destination the first of them. What a pod asks for it gets, or an error.
func (w wishes) routesOn(addresses []datapath.Address, network *nodefile.Network) ([]datapath.Route, error) {
	reached := func(r datapath.Route) bool {
		return slices.ContainsFunc(addresses, func(a datapath.Address) bool { return a.Reaches(r.Gateway) })
	}
	var list []datapath.Route
	for _, r := range w.routes {
		i := slices.IndexFunc(addresses, func(a datapath.Address) bool { return a.Prefix.Addr().Is4() == r.Destination.Addr().Is4() })
		if i < 0 {
			return nil, &ipam.RefusedError{Reason: fmt.Sprintf("the pod asks network %s for a route to %s, and has no address of that family on it: leave the route out of its cni-args",
				network.Name, r.Destination)}
		}
		if !r.Gateway.IsValid() {
			r.Gateway = addresses[i].Gateway
		}
		if !reached(r) {
			return nil, &ipam.RefusedError{Reason: fmt.Sprintf("the pod asks network %s for a route to %s by %s, which no pod reaches from %s: name another address in %s, or leave the gateway out for %s",
				network.Name, r.Destination, r.Gateway, addresses[i].Prefix.Addr(), addresses[i].Prefix.Masked(), addresses[i].Gateway)}
		}
		list = append(list, r)
	}
	for _, r := range network.Routes {
		route := datapath.Route{Destination: r.Destination, Gateway: r.Gateway}
		if reached(route) && !slices.ContainsFunc(list, func(own datapath.Route) bool { return own.Destination == r.Destination }) {
			list = append(list, route)
		}
	}
	return list, nil
}

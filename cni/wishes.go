// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
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

// routesOn an interface with these addresses; a route of a family that it does not have has no place.
func (w wishes) routesOn(addresses []ipam.Address) []datapath.Route {
	var list []datapath.Route
	for _, r := range w.routes {
		for _, a := range addresses {
			if a.Gateway.Is4() != r.Destination.Addr().Is4() {
				continue
			}
			if !r.Gateway.IsValid() {
				r.Gateway = a.Gateway
			}
			list = append(list, r)
		}
	}
	return list
}

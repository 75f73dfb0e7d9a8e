// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// result says what ADD made: the interface first, then the host leg's ends.
func result(e datapath.Endpoint, made datapath.Links, netns string) *types100.Result {
	r := &types100.Result{CNIVersion: types100.ImplementedSpecVersion}
	add := func(l datapath.Link, sandbox string) {
		if l.Name != "" {
			r.Interfaces = append(r.Interfaces, &types100.Interface{Name: l.Name, Mac: l.MAC, Mtu: l.MTU, Sandbox: sandbox})
		}
	}
	add(made.Pod, netns)
	add(made.Peer, netns)
	add(made.Host, "")
	for _, a := range e.Addresses {
		r.IPs = append(r.IPs, &types100.IPConfig{Interface: new(0), Address: network(a.Prefix), Gateway: a.Gateway.AsSlice()})
		if e.Primary {
			everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if a.Prefix.Addr().Is6() {
				everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			r.Routes = append(r.Routes, &types.Route{Dst: network(everything), GW: a.Gateway.AsSlice()})
		}
		for _, route := range e.Routes {
			if route.Destination.Addr().Is4() == a.Prefix.Addr().Is4() {
				r.Routes = append(r.Routes, &types.Route{Dst: network(route.Destination), GW: route.Gateway.AsSlice()})
			}
		}
	}
	return r
}

func network(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

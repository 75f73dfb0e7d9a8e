// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/plainjson"
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

// encodePlain is a result of version 1.0.0 or later as the library prints it, but for spaces; false for all that is not plain, see plainjson.
func encodePlain(result types.Result) ([]byte, bool) {
	r, ok := result.(*types100.Result)
	if !ok || !r.DNS.IsEmpty() {
		return nil, false
	}
	w := &plainjson.Writer{}
	field := func(key string, value func()) {
		w.Key(key)
		value()
	}
	w.Object(func() {
		field("cniVersion", func() { w.String(r.CNIVersion) })
		if len(r.Interfaces) > 0 {
			field("interfaces", func() { writeList(w, r.Interfaces, writeInterface) })
		}
		if len(r.IPs) > 0 {
			field("ips", func() { writeList(w, r.IPs, writeIP) })
		}
		if len(r.Routes) > 0 {
			field("routes", func() { writeList(w, r.Routes, writeRoute) })
		}
	})
	return w.Bytes()
}

func writeList[T any](w *plainjson.Writer, list []*T, write func(*plainjson.Writer, *T)) {
	w.List(func() {
		for _, one := range list {
			w.Object(func() { write(w, one) })
		}
	})
}

func writeInterface(w *plainjson.Writer, i *types100.Interface) {
	if i.SocketPath != "" || i.PciID != "" {
		w.Decline()
	}
	if i.Mac != "" {
		w.Key("mac")
		w.String(i.Mac)
	}
	if i.Mtu != 0 {
		w.Key("mtu")
		w.Int(int64(i.Mtu))
	}
	w.Key("name")
	w.String(i.Name)
	if i.Sandbox != "" {
		w.Key("sandbox")
		w.String(i.Sandbox)
	}
}

func writeIP(w *plainjson.Writer, ip *types100.IPConfig) {
	w.Key("address")
	w.String(ip.Address.String())
	if len(ip.Gateway) > 0 {
		w.Key("gateway")
		w.Text(ip.Gateway)
	}
	if ip.Interface != nil {
		w.Key("interface")
		w.Int(int64(*ip.Interface))
	}
}

func writeRoute(w *plainjson.Writer, r *types.Route) {
	if r.MTU != 0 || r.AdvMSS != 0 || r.Priority != 0 || r.Table != nil || r.Scope != nil {
		w.Decline()
	}
	w.Key("dst")
	w.String(r.Dst.String())
	if len(r.GW) > 0 {
		w.Key("gw")
		w.Text(r.GW)
	}
}

// behind puts a result behind that of the plugins ahead: their interfaces, addresses, routes and DNS are passed on.
func behind(previous, r *types100.Result) *types100.Result {
	if previous == nil {
		return r
	}
	for _, ip := range r.IPs {
		ip.Interface = new(*ip.Interface + len(previous.Interfaces))
	}
	r.Interfaces = slices.Concat(previous.Interfaces, r.Interfaces)
	r.IPs = slices.Concat(previous.IPs, r.IPs)
	r.Routes = slices.Concat(previous.Routes, r.Routes)
	r.DNS = previous.DNS
	return r
}

// previous is the result that the runtime passes on: at CHECK that of ADD, at ADD that of the plugins ahead in the list; nil if there is none.
func (c *config) previous() (*types100.Result, error) {
	if len(c.PrevResult) == 0 || string(c.PrevResult) == "null" {
		return nil, nil //nolint:nilnil // none
	}
	invalid := func(err error) error {
		return types.NewError(types.ErrDecodingFailure, fmt.Sprintf("CNI configuration %s: prevResult: %s", c.Name, unreadable(err)), "")
	}
	var raw map[string]any
	if err := json.Unmarshal(c.PrevResult, &raw); err != nil {
		return nil, invalid(err)
	}
	conf := types.PluginConf{CNIVersion: c.CNIVersion, RawPrevResult: raw}
	if err := version.ParsePrevResult(&conf); err != nil {
		return nil, invalid(err)
	}
	previous, err := types100.NewResultFromResult(conf.PrevResult)
	if err != nil {
		return nil, invalid(err)
	}
	return previous, nil
}

func network(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

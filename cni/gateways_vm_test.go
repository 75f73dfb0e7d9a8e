// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// via is a network's route.
func via(destination, gateway string) nodefile.Route {
	return nodefile.Route{Destination: netip.MustParsePrefix(destination), Gateway: netip.MustParseAddr(gateway)}
}

// told are the routes in the result of ADD.
func (p *pod) told() string {
	var list []string
	for _, r := range p.result.Routes {
		list = append(list, r.Dst.String()+" "+r.GW.String())
	}
	return strings.Join(list, ", ")
}

// TestGateways has a network on two subnets, and routes by gateways that the pods of both can reach, of one of them, and none. Pods start everywhere.
func TestGateways(t *testing.T) {
	w := newWorld(t)
	nodes := []*node{w.addNode(t, "master", primary("a"), master()), w.addNode(t, "worker", primary("b"), worker())}
	const a, b, ipv6 = "0.0.0.0/0 172.31.16.1", "0.0.0.0/0 172.31.32.1", ", ::/0 fe80:ec2::1"
	for _, c := range []struct {
		name           string
		routes         []nodefile.Route
		master, worker string
	}{
		{"in one of the subnets", []nodefile.Route{via("10.0.0.0/8", "172.31.32.9")}, a + ipv6, b + ", 10.0.0.0/8 172.31.32.9" + ipv6},
		{"one in each subnet", []nodefile.Route{via("10.0.0.0/8", "172.31.32.9"), via("10.0.0.0/8", "172.31.16.9")}, a + ", 10.0.0.0/8 172.31.16.9" + ipv6, b + ", 10.0.0.0/8 172.31.32.9" + ipv6},
		{"two in one subnet", []nodefile.Route{via("10.0.0.0/8", "172.31.32.9"), via("10.0.0.0/8", "172.31.32.8")}, a + ipv6, b + ", 10.0.0.0/8 172.31.32.9" + ipv6},
		{"in no subnet", []nodefile.Route{via("10.0.0.0/8", "192.0.2.1"), via("2001:db8::/32", "2001:db8::1")}, a + ipv6, b + ipv6},
		{"a subnet's own address, and its broadcast address", []nodefile.Route{via("10.0.0.0/8", "172.31.16.0"), via("10.0.0.0/8", "172.31.32.255")}, a + ipv6, b + ipv6},
		{"the routers of a subnet, of any", []nodefile.Route{via("2001:db8::/32", "2406:da1e:c4:ed01::")}, a + ipv6 + ", 2001:db8::/32 2406:da1e:c4:ed01::", b + ipv6},
		{"link-local", []nodefile.Route{via("2001:db8::/32", "fe80::9")}, a + ipv6 + ", 2001:db8::/32 fe80::9", b + ipv6 + ", 2001:db8::/32 fe80::9"},
		{"to everywhere", []nodefile.Route{via("0.0.0.0/0", "172.31.16.9"), via("::/0", "fe80::9")}, "0.0.0.0/0 172.31.16.9, ::/0 fe80::9", b + ", ::/0 fe80::9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, n := range nodes {
				n.file.Networks[1].Routes = c.routes
				n.write(t)
				p := n.newPod(t, "ens6")
				if err := p.add(t); err != nil {
					t.Error(err)
					continue
				}
				if want := []string{c.master, c.worker}[i]; p.told() != want {
					t.Errorf("on %s: routes %s, want %s", n.name, p.told(), want)
				}
				if err := p.check(t); err != nil {
					t.Error(err)
				}
				must(t, p.add(t)) // again
				must(t, p.del())
			}
		})
	}
}

// TestGatewaysOfFurther has a network's routes by a pod's second interface: the default route among them is for what comes from its addresses alone.
func TestGatewaysOfFurther(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	n.file.Networks[2].Routes = []nodefile.Route{via("0.0.0.0/0", "172.31.16.9"), via("10.0.0.0/8", "172.31.32.9")}
	n.write(t)
	p := n.addPod(t, "ens6")
	other, args := *p, *p.args
	args.IfName, args.StdinData = "net1", config("ens7", "1.1.0")
	other.args = &args
	must(t, other.add(t))
	must(t, other.check(t))
	must(t, p.check(t))
	if other.told() != "" {
		t.Errorf("routes %s, want none", other.told())
	}
	links := handle(t, p.Namespace)
	for source, want := range map[netip.Addr]string{p.v4: "172.31.16.1", other.v4: "172.31.16.9"} {
		found, err := links.RouteGetWithOptions(netip.MustParseAddr("198.51.100.1").AsSlice(), &netlink.RouteGetOptions{SrcAddr: source.AsSlice()})
		must(t, err)
		if found[0].Gw.String() != want {
			t.Errorf("from %s by %s, want %s", source, found[0].Gw, want)
		}
	}
	list, err := links.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: nil}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	must(t, err)
	if len(list) != 1 {
		t.Errorf("default routes %v, want one", list)
	}
	must(t, other.del())
	must(t, p.del())
}

// TestWishedGateways has pods ask for routes that cannot be had. Nothing is left of them.
func TestWishedGateways(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), card{"ens7", "a", "172.31.28.32/28", ""})
	for name, c := range map[string]struct {
		network, destination, gateway string
		says                          string
	}{
		"outside of the subnet":   {"ens6", "10.0.0.0/8", "172.31.32.9", "asks network ens6 for a route to 10.0.0.0/8 by 172.31.32.9"},
		"the broadcast address":   {"ens6", "10.0.0.0/8", "172.31.31.255", "asks network ens6 for a route to 10.0.0.0/8 by 172.31.31.255"},
		"a family without a pool": {"ens7", "2001:db8::/32", "", "asks network ens7 for a route to 2001:db8::/32"},
	} {
		t.Run(name, func(t *testing.T) {
			p := n.newPod(t, c.network)
			p.with(t, "args", map[string]any{"cni": map[string]any{"routes": []map[string]string{{"dst": c.destination, "gw": c.gateway}}}})
			wantCode(t, p.add(t), cni.CodeRefused, c.says)
			wantLinks(t, p.Namespace)
		})
	}
	n.wantStore(t, 0)
}

// TestRoutesAmongOthers has routes to parts of the pod's own subnet, to where gateways are, and as many as there may be. The pod works, ADD can be repeated,
// and CHECK finds nothing.
func TestRoutesAmongOthers(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	remote, sibling := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6"), n.addPod(t, "ens6")
	for i := range n.file.Networks {
		for j := range 64 {
			n.file.Networks[i].Routes = append(n.file.Networks[i].Routes, via(fmt.Sprintf("192.168.%d.0/24", j), "172.31.16.1"))
		}
	}
	n.write(t)
	route := func(destination, gateway string) map[string]string {
		return map[string]string{"dst": destination, "gw": gateway}
	}
	var many []map[string]string
	for i := range 64 {
		many = append(many, route(fmt.Sprintf("10.0.%d.0/24", i), ""))
	}
	for name, list := range map[string][]map[string]string{
		"the subnet":                  {route("172.31.16.0/20", ""), route("2406:da1e:c4:ed01::/64", "")},
		"the gateway":                 {route("172.31.16.1/32", ""), route("fe80:ec2::1/128", "")},
		"the gateway's surroundings":  {route("172.31.16.0/24", "172.31.17.9"), route("10.0.0.0/8", "172.31.16.7")},
		"the same of IPv6":            {route("2406:da1e:c4:ed01::/80", "2406:da1e:c4:ed01:1::9"), route("2001:db8::/32", "2406:da1e:c4:ed01::1")},
		"the node and services":       {route(n.v4.String()+"/32", ""), route(n.v6.String()+"/128", ""), route("10.96.0.0/12", "")},
		"everything in halves":        {route("0.0.0.0/1", ""), route("128.0.0.0/1", ""), route("::/1", ""), route("8000::/1", "")},
		"addresses that are for none": {route("127.0.0.0/8", ""), route("0.0.0.0/8", ""), route("224.0.0.0/4", ""), route("::1/128", ""), route("ff00::/8", "")},
		"many networks":               many,
	} {
		t.Run(name, func(t *testing.T) {
			p := n.newPod(t, "ens6")
			other, args := *p, *p.args
			args.IfName, args.StdinData = "net1", config("ens7", "1.1.0")
			other.args = &args
			for _, one := range []*pod{p, &other} {
				if one == &other && name == "the same of IPv6" {
					continue // the kernel takes no gateway to which another interface's route leads
				}
				one.with(t, "args", map[string]any{"cni": map[string]any{"routes": list}})
				must(t, one.add(t))
				must(t, one.check(t))
			}
			must(t, p.add(t))
			must(t, p.check(t))
			for _, to := range []end{remote.end(), n.end(), sibling.end()} {
				w.wantPings(t, p.end(), to, small)
			}
			must(t, other.del())
			must(t, p.del())
		})
	}
	p := n.newPod(t, "ens6")
	p.with(t, "args", map[string]any{"cni": map[string]any{"routes": append(many, route("10.1.0.0/24", ""))}})
	wantCode(t, p.add(t), types.ErrInvalidNetworkConfig, "the pod asks for 65 routes, and 64 are the most")
	wantLinks(t, p.Namespace)
	n.wantStore(t, 1)
}

// TestRoutesChange has a network's routes change while a pod runs: it keeps its own, and CHECK looks for them alone.
func TestRoutesChange(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	network := &n.file.Networks[1]
	network.Routes = []nodefile.Route{via("10.0.0.0/8", "172.31.16.9")}
	n.write(t)
	p := n.addPod(t, "ens6")
	for name, routes := range map[string][]nodefile.Route{
		"one more":        {via("10.0.0.0/8", "172.31.16.9"), via("192.168.0.0/16", "172.31.16.9")},
		"another gateway": {via("10.0.0.0/8", "172.31.16.8")},
		"none":            nil,
		"default routes":  {via("0.0.0.0/0", "172.31.16.9"), via("::/0", "fe80::9")},
		"the same":        {via("10.0.0.0/8", "172.31.16.9")},
	} {
		t.Run(name, func(t *testing.T) {
			network.Routes = routes
			n.write(t)
			must(t, p.check(t))
		})
	}
	network.Routes = []nodefile.Route{via("10.0.0.0/8", "172.31.16.9")}
	n.write(t)
	links := handle(t, p.Namespace)
	must(t, links.RouteDel(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}}))
	wantCode(t, p.check(t), cni.CodeDamaged, "route 10.0.0.0/8 via 172.31.16.9")
	must(t, p.del())
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
)

// TestRequestedAddresses has pods ask for addresses in each way there is.
func TestRequestedAddresses(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	const ipv4, ipv6 = "172.31.28.25", "2406:da1e:c4:ed01:c57d::99"
	ask := func(t *testing.T, how string, addresses ...string) *pod {
		p := n.newPod(t, "ens6")
		switch how {
		case "capability":
			p.with(t, "runtimeConfig", map[string]any{"ips": addresses})
		case "args":
			p.with(t, "args", map[string]any{"cni": map[string]any{"ips": addresses}})
		default:
			p.args.Args += ";IP=" + strings.Join(addresses, ",")
		}
		return p
	}
	ways := []string{"capability", "args", "environment"}
	for _, how := range ways {
		t.Run("not allowed, "+how, func(t *testing.T) {
			p := ask(t, how, ipv4)
			wantCode(t, p.add(t), cni.CodeRefused, "requestedIPs")
			wantLinks(t, p.Namespace)
		})
	}
	n.file.Networks[1].RequestedIPs = nodefile.RequestedIPsAllow
	n.write(t)
	for _, how := range ways {
		t.Run("allowed, "+how, func(t *testing.T) {
			p := ask(t, how, ipv4, ipv6)
			must(t, p.add(t))
			if p.v4.String() != ipv4 || p.v6.String() != ipv6 {
				t.Errorf("the pod got %s and %s", p.v4, p.v6)
			}
			must(t, p.check(t))
			must(t, p.del())
		})
	}
	t.Run("taken", func(t *testing.T) {
		p := ask(t, "args", ipv4)
		must(t, p.add(t))
		wantCode(t, ask(t, "args", ipv4).add(t), types.ErrTryAgainLater, ipv4)
		must(t, p.del())
	})
	t.Run("another one, of a pod that has one", func(t *testing.T) {
		p := ask(t, "args", ipv4)
		must(t, p.add(t))
		must(t, p.add(t))
		p.with(t, "args", map[string]any{"cni": map[string]any{"ips": []string{"172.31.28.26"}}})
		wantCode(t, p.add(t), cni.CodeRefused, "has 172.31.28.25 and "+p.v6.String()+" on interface eth0 already, and asks for 172.31.28.26")
		must(t, p.check(t))
		must(t, p.del())
	})
	for name, c := range map[string]struct {
		addresses []string
		code      uint
		word      string
	}{
		"outside of the pools":   {[]string{"172.31.29.5"}, cni.CodeRefused, "172.31.29.5"},
		"the node's own":         {[]string{n.v4.String()}, cni.CodeRefused, n.v4.String()},
		"two of one family":      {[]string{ipv4, "172.31.28.26"}, cni.CodeRefused, "one of each family"},
		"what is no address":     {[]string{"../../etc"}, types.ErrInvalidNetworkConfig, "which is none"},
		"a multicast address":    {[]string{"224.0.0.1"}, cni.CodeRefused, "224.0.0.1"},
		"an address with a zone": {[]string{"fe80::1%eth0"}, types.ErrInvalidNetworkConfig, "which is none"},
	} {
		t.Run(name, func(t *testing.T) {
			p := ask(t, "capability", c.addresses...)
			wantCode(t, p.add(t), c.code, c.word)
			wantLinks(t, p.Namespace)
		})
	}
	n.wantStore(t, 0)
}

// TestChain has other plugins in the list: ahead of this one at ADD, and behind it at CHECK and DEL.
func TestChain(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	ahead := &types100.Result{
		CNIVersion: "1.0.0", Interfaces: []*types100.Interface{{Name: "first0", Mac: "5e:00:00:00:00:01"}},
		IPs: []*types100.IPConfig{{Interface: new(0), Address: net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}},
		DNS: types.DNS{Nameservers: []string{"192.0.2.53"}},
	}
	p := n.newPod(t, "ens6")
	p.args.StdinData = config("ens6", "1.0.0")
	p.with(t, "prevResult", ahead)
	must(t, p.add(t))
	r := p.result
	if len(r.Interfaces) != 4 || r.Interfaces[0].Name != "first0" || r.Interfaces[1].Name != "eth0" || len(r.DNS.Nameservers) != 1 {
		t.Errorf("the result has interfaces %v and DNS %v", r.Interfaces, r.DNS)
	}
	if len(r.IPs) != 3 || *r.IPs[0].Interface != 0 || *r.IPs[1].Interface != 1 || *r.IPs[2].Interface != 1 {
		t.Errorf("the result has addresses %v", r.IPs)
	}
	must(t, p.check(t))
	p.result.Interfaces = append(p.result.Interfaces, &types100.Interface{Name: "last0"}) // of a plugin behind
	must(t, p.check(t))
	p.result.IPs = p.result.IPs[:1]
	wantCode(t, p.check(t), cni.CodeDamaged, "the result of ADD lacks the address")
	p.with(t, "prevResult", map[string]any{"cniVersion": "1.0.0", "ips": "none"})
	_, err := p.call((*cni.Plugin).Check)
	wantCode(t, err, types.ErrDecodingFailure, "prevResult")
	fresh := n.newPod(t, "ens6")
	fresh.with(t, "prevResult", map[string]any{"cniVersion": "1.1.0", "ips": "none"})
	wantCode(t, fresh.add(t), types.ErrDecodingFailure, "prevResult")
	wantLinks(t, fresh.Namespace)
	must(t, p.del())
	wantLinks(t, p.Namespace)
	n.wantStore(t, 0)
}

// TestRoutes has routes of the network and of the pod, on a first and a second interface.
func TestRoutes(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	gateway := netip.MustParseAddr("172.31.16.1")
	for i := range n.file.Networks {
		n.file.Networks[i].Routes = []nodefile.Route{
			{Destination: netip.MustParsePrefix("10.0.0.0/8"), Gateway: gateway},
			{Destination: netip.MustParsePrefix("192.0.2.0/24"), Gateway: gateway},
		}
	}
	n.write(t)
	p := n.addPod(t, "ens6")
	other := *p
	args := *p.args
	args.IfName, args.StdinData = "net1", config("ens7", "1.1.0")
	other.args = &args
	routes := func(list ...map[string]string) {
		other.with(t, "args", map[string]any{"cni": map[string]any{"routes": list}})
	}
	outside := fabric.OutsideAddresses()
	routes(map[string]string{"dst": "203.0.113.0/24"}, map[string]string{"dst": "2001:db8::/32"}, map[string]string{"dst": "10.0.0.0/8", "gw": "172.31.16.9"})
	must(t, other.add(t))
	must(t, other.check(t))
	must(t, p.check(t))
	links := handle(t, p.Namespace)
	t.Run("by the interface that the pod chose", func(t *testing.T) {
		for i, to := range outside {
			found, err := links.RouteGet(to.AsSlice())
			must(t, err)
			l, err := links.LinkByIndex(found[0].LinkIndex)
			must(t, err)
			if source, _ := netip.AddrFromSlice(found[0].Src); l.Attrs().Name != "net1" || source.Unmap() != other.addresses()[i] {
				t.Errorf("%s is reached by %s from %s", to, l.Attrs().Name, found[0].Src)
			}
		}
		w.wantPings(t, other.end(), end{name: "outside", v4: outside[0], v6: outside[1]}, small)
	})
	t.Run("one default route of each family in the main table", func(t *testing.T) {
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			list, err := links.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
			must(t, err)
			defaults := 0
			for _, r := range list {
				if r.Dst == nil || r.Dst.IP.IsUnspecified() {
					defaults++
				}
			}
			if defaults != 1 {
				t.Errorf("family %d has %d default routes", family, defaults)
			}
		}
	})
	t.Run("the pod's take the place of the network's", func(t *testing.T) {
		got := []string{}
		for _, r := range other.result.Routes {
			got = append(got, r.Dst.String()+" "+r.GW.String())
		}
		want := "203.0.113.0/24 172.31.16.1, 10.0.0.0/8 172.31.16.9, 192.0.2.0/24 172.31.16.1, 2001:db8::/32 fe80:ec2::1"
		if strings.Join(got, ", ") != want {
			t.Errorf("routes %v, want %s", got, want)
		}
	})
	t.Run("refused", func(t *testing.T) {
		for _, r := range []map[string]string{{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "10.0.0.1/8"}, {"dst": "ten"}, {"dst": "10.0.0.0/8", "gw": "fe80::1"}} {
			routes(r)
			wantCode(t, other.add(t), types.ErrInvalidNetworkConfig, r["dst"][:2])
		}
	})
	must(t, other.del())
	must(t, p.check(t))
	must(t, p.del())
	n.wantStore(t, 0)
}

// TestDelegates attaches a pod four times, as Multus does: twice to one network.
func TestDelegates(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	first := n.addPod(t, "ens6")
	all := []*pod{first}
	for name, network := range map[string]string{"net1": "ens7", "net2": "ens6", "net3": "ens7"} {
		p, args := *first, *first.args
		args.IfName, args.StdinData = name, config(network, "1.1.0")
		p.args = &args
		must(t, p.add(t))
		all = append(all, &p)
	}
	seen := map[netip.Addr]bool{}
	for _, p := range all {
		for _, a := range p.addresses() {
			if seen[a] {
				t.Errorf("%s is on two interfaces", a)
			}
			seen[a] = true
		}
		t.Run(p.args.IfName, func(t *testing.T) {
			w.wantPings(t, remote.end(), p.end(), small)
			w.wantPings(t, p.end(), remote.end(), small)
		})
	}
	n.wantStore(t, 4)
	for i, p := range all { // the first one before the others
		must(t, p.del())
		for _, stays := range all[i+1:] {
			if err := stays.check(t); err != nil {
				t.Errorf("without %s: %v", p.args.IfName, err)
			}
		}
		n.wantStore(t, len(all)-i-1)
	}
	wantLinks(t, first.Namespace)
	n.wantStore(t, 0)
}

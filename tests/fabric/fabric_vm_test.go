// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package fabric_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// lost is how long to wait for an answer that must not come; the counters prove why.
const lost = 250 * time.Millisecond

// newVPC makes the walkthrough's VPC: two subnets, three nodes with an ENI for pods each, two of them in one subnet.
func newVPC(t *testing.T) *vpc {
	t.Helper()
	subnetA := fabric.Subnet{Name: "a", IPv4: netip.MustParsePrefix("172.31.16.0/20"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed01::/64")}
	subnetB := fabric.Subnet{Name: "b", IPv4: netip.MustParsePrefix("172.31.32.0/24"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed02::/64")}
	f, err := fabric.New(subnetA, subnetB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	v := &vpc{Fabric: f, nodes: map[string]*node{}}
	v.addNode(t, "master", subnetA, 1, "172.31.28.16/28", "2406:da1e:c4:ed01:c57d::/80")
	v.addNode(t, "other", subnetA, 2, "172.31.28.32/28", "2406:da1e:c4:ed01:c57e::/80")
	v.addNode(t, "worker", subnetB, 3, "172.31.32.176/28", "2406:da1e:c4:ed02:7a2e::/80")
	return v
}

type vpc struct {
	*fabric.Fabric
	nodes map[string]*node
}

// node is a namespace with an ENI, eth1, that has no address on the node.
type node struct {
	*netns.Namespace
	eni    fabric.ENI
	subnet fabric.Subnet
}

func (v *vpc) addNode(t *testing.T, name string, subnet fabric.Subnet, number byte, prefixes ...string) {
	t.Helper()
	n := &node{Namespace: newNamespace(t), subnet: subnet, eni: fabric.ENI{
		Name: "eni-" + name, Subnet: subnet.Name, MAC: net.HardwareAddr{2, 0, 0, 0, 0x10, number},
	}}
	for _, prefix := range prefixes {
		n.eni.Bound = append(n.eni.Bound, netip.MustParsePrefix(prefix))
	}
	must(t, v.Attach(n.eni, n.Namespace, "eth1"))
	links := n.handle(t)
	link, err := links.LinkByName("eth1")
	must(t, err)
	must(t, links.LinkSetUp(link))
	v.nodes[name] = n
}

func (n *node) handle(t *testing.T) *netlink.Handle { return handle(t, n.Namespace) }

// pod is a namespace with a link on a node's ENI.
type pod struct {
	*netns.Namespace
	v4, v6 netip.Addr
}

func (p pod) addresses() []netip.Addr { return []netip.Addr{p.v4, p.v6} }

// addPod makes a pod with the nth address of each of the node's first prefixes.
func (v *vpc) addPod(t *testing.T, name string, n int) pod {
	t.Helper()
	eni := v.nodes[name].eni
	return v.addPodWith(t, name, &netlink.IPVlan{Mode: netlink.IPVLAN_MODE_L2}, nth(eni.Bound[0], n), nth(eni.Bound[1], n))
}

// addPodWith makes a pod with a link of that kind and these addresses.
func (v *vpc) addPodWith(t *testing.T, name string, link netlink.Link, v4, v6 netip.Addr) pod {
	t.Helper()
	node := v.nodes[name]
	links := node.handle(t)
	parent, err := links.LinkByName("eth1")
	must(t, err)
	p := pod{Namespace: newNamespace(t), v4: v4, v6: v6}
	attrs := link.Attrs()
	*attrs = netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex, attrs.Namespace = "eth0", parent.Attrs().Index, netlink.NsFd(p.FD())
	must(t, links.LinkAdd(link))
	p.configure(t, node.subnet)
	return p
}

// configure gives the pod addresses with its subnet's lengths and default routes.
func (p pod) configure(t *testing.T, subnet fabric.Subnet) {
	t.Helper()
	must(t, p.Set("net.ipv6.conf.eth0.addr_gen_mode", "1"))
	links := handle(t, p.Namespace)
	link, err := links.LinkByName("eth0")
	must(t, err)
	must(t, links.LinkSetUp(link))
	for _, a := range []struct {
		address, gateway netip.Addr
		subnet           netip.Prefix
	}{
		{p.v4, subnet.IPv4.Addr().Next(), subnet.IPv4},
		{p.v6, fabric.GatewayIPv6(), subnet.IPv6},
	} {
		network := &net.IPNet{IP: a.address.AsSlice(), Mask: net.CIDRMask(a.subnet.Bits(), a.address.BitLen())}
		must(t, links.AddrAdd(link, &netlink.Addr{IPNet: network, Flags: unix.IFA_F_NODAD}))
		must(t, links.RouteAdd(&netlink.Route{
			LinkIndex: link.Attrs().Index, Gw: a.gateway.AsSlice(), Src: a.address.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
		}))
	}
}

func newNamespace(t *testing.T) *netns.Namespace {
	t.Helper()
	n, err := netns.New()
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func handle(t *testing.T, n *netns.Namespace) *netlink.Handle {
	t.Helper()
	links, err := n.Links()
	must(t, err)
	t.Cleanup(links.Close)
	return links
}

// nth returns the nth address of the prefix.
func nth(prefix netip.Prefix, n int) netip.Addr {
	address := prefix.Masked().Addr()
	for range n {
		address = address.Next()
	}
	return address
}

// dropped runs do and returns what the fabric counted meanwhile, apart from what kernels send by themselves.
func (v *vpc) dropped(t *testing.T, do func()) map[fabric.Reason]uint64 {
	t.Helper()
	before, err := v.Drops()
	must(t, err)
	do()
	after, err := v.Drops()
	must(t, err)
	for reason, n := range before {
		after[reason] -= n
	}
	for reason, n := range after {
		if n == 0 || slices.Contains([]fabric.Reason{fabric.UnspecifiedSource, fabric.LinkLocalSource, fabric.Multicast}, reason) {
			delete(after, reason)
		}
	}
	return after
}

// wantPings pings every address of the target, with as much as the VPC carries, and expects nothing to be dropped.
func (v *vpc) wantPings(t *testing.T, from, to pod) {
	t.Helper()
	drops := v.dropped(t, func() {
		for i, target := range to.addresses() {
			if err := probe.Ping(from.Namespace, from.addresses()[i], target, fabric.MTU, probe.Timeout); err != nil {
				t.Error(err)
			}
		}
	})
	if diff := cmp.Diff(map[fabric.Reason]uint64{}, drops); diff != "" {
		t.Errorf("the fabric dropped (-want +got):\n%s", diff)
	}
}

// wantDrops pings the target, which must not answer, until the fabric has dropped something for this reason. A pod that
// lost its addresses may cause other drops by itself.
func (v *vpc) wantDrops(t *testing.T, reason fabric.Reason, from *netns.Namespace, source, target netip.Addr) {
	t.Helper()
	var drops map[fabric.Reason]uint64
	for deadline := time.Now().Add(probe.Timeout); drops[reason] == 0; {
		if time.Now().After(deadline) {
			t.Errorf("ping from %s to %s: the fabric dropped %v, want %s among them", source, target, drops, reason)
			return
		}
		drops = v.dropped(t, func() {
			if err := probe.Ping(from, source, target, 100, lost); err == nil {
				t.Errorf("%s answers %s", target, source)
			}
		})
	}
}

// wantAllDrops does so with both families.
func (v *vpc) wantAllDrops(t *testing.T, reason fabric.Reason, from, to pod) {
	t.Helper()
	for i, target := range to.addresses() {
		v.wantDrops(t, reason, from.Namespace, from.addresses()[i], target)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// world is the walkthrough's VPC with its nodes, which are namespaces: two subnets; master with an interface in one, worker with an interface in the
// other, and both with a second interface in the other's subnet or the same.
type world struct {
	*fabric.Fabric
	subnets map[string]fabric.Subnet
	created int // nodes
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{subnets: map[string]fabric.Subnet{
		"a": {Name: "a", IPv4: netip.MustParsePrefix("172.31.16.0/20"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed01::/64")},
		"b": {Name: "b", IPv4: netip.MustParsePrefix("172.31.32.0/24"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed02::/64")},
	}}
	var err error
	w.Fabric, err = fabric.New(w.subnets["a"], w.subnets["b"])
	must(t, err)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// node is a namespace with its own paths.
type node struct {
	*netns.Namespace
	name   string
	file   nodefile.File
	plugin cni.Plugin
	log    *bytes.Buffer
	v4, v6 netip.Addr // its own addresses
	pods   int
}

// card is an interface of a node, for pods of the network with its name.
type card struct {
	name   string // of link and network
	subnet string
	// prefixes for pods, by family.
	v4, v6 string
}

// addNode makes a node whose own addresses are the nth of subnet's hosts (.10 and up), on its first card.
func (w *world) addNode(t *testing.T, name string, cards ...card) *node {
	t.Helper()
	w.created++
	ns, err := netns.NewNamed("node-" + name)
	must(t, err)
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	folder := t.TempDir()
	n := &node{Namespace: ns, name: name, log: &bytes.Buffer{}}
	n.plugin = cni.Plugin{NodeFile: filepath.Join(folder, "node.json"), Folder: filepath.Join(folder, "run"), Log: n.log}
	n.file = nodefile.File{Writer: "test", Node: nodefile.Node{Name: name}}
	// As kube-proxy sets it with strictARP; without it, the node's interfaces answer for each other, and the fabric drops that.
	for _, sysctl := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.arp_ignore"} {
		must(t, ns.Set(sysctl, "1"))
	}
	must(t, ns.Set("net.ipv6.conf.default.addr_gen_mode", "1"))
	for i, c := range cards {
		w.addCard(t, n, i, c)
	}
	n.write(t)
	return n
}

func (w *world) addCard(t *testing.T, n *node, index int, c card) {
	t.Helper()
	subnet := w.subnets[c.subnet]
	eni := fabric.ENI{Name: "eni-" + n.name + "-" + c.name, Subnet: c.subnet, MAC: net.HardwareAddr{2, 0, 0, 0, byte(0x10 + index), byte(w.created)}}
	v4 := offset(subnet.IPv4.Addr(), 10+10*w.created+index)
	v6 := offset(subnet.IPv6.Addr(), 10+10*w.created+index)
	eni.Bound = append(eni.Bound, netip.PrefixFrom(v4, 32), netip.PrefixFrom(v6, 128))
	for _, p := range []string{c.v4, c.v6} {
		if p != "" {
			eni.Bound = append(eni.Bound, netip.MustParsePrefix(p))
		}
	}
	must(t, w.Attach(eni, n.Namespace, c.name))
	if index == 0 {
		n.v4, n.v6 = v4, v6
		n.file.Node.Addresses = []netip.Addr{v4, v6}
		n.configure(t, c.name, subnet)
	}
	if !slices.ContainsFunc(n.file.Networks, func(x nodefile.Network) bool { return x.Name == c.name }) {
		n.file.Networks = append(n.file.Networks, nodefile.Network{
			Name: c.name, RequestedIPs: nodefile.RequestedIPsDeny, CooldownSeconds: 0,
			MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataAllow},
			HostLeg:         nodefile.HostLeg{Enabled: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("fd00:10:96::/108")}},
		})
	}
	for _, p := range []struct {
		ranges, short string
		family        nodefile.Family
		subnet        netip.Prefix
		gateway       netip.Addr
	}{
		{c.v4, "v4", nodefile.IPv4, subnet.IPv4, subnet.IPv4.Addr().Next()},
		{c.v6, "v6", nodefile.IPv6, subnet.IPv6, fabric.GatewayIPv6()},
	} {
		if p.ranges == "" {
			continue
		}
		n.file.Pools = append(n.file.Pools, nodefile.Pool{
			Name: fmt.Sprintf("%s.%d.%s.%s", c.name, index, p.short, n.name), Network: c.name, Family: p.family, Subnet: p.subnet, Gateway: p.gateway,
			Interface:  nodefile.Interface{ID: eni.Name, MAC: eni.MAC.String(), DeviceIndex: index},
			Ranges:     nodefile.Ranges{iprange.FromPrefix(netip.MustParsePrefix(p.ranges))},
			Allocation: nodefile.AllocationEnabled,
		})
	}
}

// configure gives the node its own addresses and default routes.
func (n *node) configure(t *testing.T, name string, subnet fabric.Subnet) {
	t.Helper()
	links := n.handle(t)
	link, err := links.LinkByName(name)
	must(t, err)
	must(t, links.LinkSetUp(link))
	for _, a := range []struct {
		address, gateway netip.Addr
		bits             int
	}{{n.v4, subnet.IPv4.Addr().Next(), subnet.IPv4.Bits()}, {n.v6, fabric.GatewayIPv6(), subnet.IPv6.Bits()}} {
		network := &net.IPNet{IP: a.address.AsSlice(), Mask: net.CIDRMask(a.bits, a.address.BitLen())}
		must(t, links.AddrAdd(link, &netlink.Addr{IPNet: network, Flags: unix.IFA_F_NODAD}))
		must(t, links.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: a.gateway.AsSlice(), Src: a.address.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}))
	}
}

func (n *node) handle(t *testing.T) *netlink.Handle { return handle(t, n.Namespace) }

func handle(t *testing.T, ns *netns.Namespace) *netlink.Handle {
	t.Helper()
	links, err := ns.Links()
	must(t, err)
	t.Cleanup(links.Close)
	return links
}

// write writes the node file.
func (n *node) write(t *testing.T) {
	t.Helper()
	must(t, nodefile.Write(n.plugin.NodeFile, &n.file))
}

// pod is a namespace with an interface.
type pod struct {
	*netns.Namespace
	node   *node
	args   *cni.Call
	result *types100.Result
	v4, v6 netip.Addr // of the last ADD; invalid without that family
	gone   bool
}

// config of a network, in a version of the specification.
func config(network, version string) []byte {
	return fmt.Appendf(nil, `{"cniVersion":%q,"name":%q,"type":"underlay","network":%q,"capabilities":{"bandwidth":true}}`, version, network, network)
}

// newPod makes a namespace with a path, without interfaces.
func (n *node) newPod(t *testing.T, network string) *pod {
	t.Helper()
	n.pods++
	id := fmt.Sprintf("%s-%d", n.name, n.pods)
	ns, err := netns.NewNamed("pod-" + id)
	must(t, err)
	p := &pod{Namespace: ns, node: n, args: &cni.Call{
		ContainerID: "sandbox-" + id, Netns: ns.Path(), IfName: "eth0",
		Args:      "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-" + id + ";K8S_POD_UID=uid-" + id,
		StdinData: config(network, "1.1.0"),
	}}
	t.Cleanup(func() { p.vanish(t) })
	return p
}

// vanish removes the pod's namespace.
func (p *pod) vanish(t *testing.T) {
	t.Helper()
	if p.gone {
		return
	}
	p.gone = true
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// addPod makes a pod and attaches it.
func (n *node) addPod(t *testing.T, network string) *pod {
	t.Helper()
	p := n.newPod(t, network)
	must(t, p.add(t))
	return p
}

// add calls ADD on the node, and remembers addresses and result.
func (p *pod) add(t *testing.T) error {
	t.Helper()
	out, err := p.call((*cni.Plugin).Add)
	if err != nil {
		return err
	}
	result := &types100.Result{}
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatalf("result %s: %v", out, err)
	}
	p.result = result
	for _, ip := range result.IPs {
		a, _ := netip.AddrFromSlice(ip.Address.IP)
		if a = a.Unmap(); a.Is4() {
			p.v4 = a
		} else {
			p.v6 = a
		}
	}
	return nil
}

// call runs a verb on the node and returns what it printed.
func (p *pod) call(verb func(*cni.Plugin, *cni.Call) error) ([]byte, error) {
	var out bytes.Buffer
	plugin := p.node.plugin
	plugin.Out = &out
	err := p.node.Do(func() error { return verb(&plugin, p.args) })
	return out.Bytes(), err
}

func (p *pod) del() error {
	_, err := p.call((*cni.Plugin).Del)
	return err
}

// check calls CHECK with the result of the last ADD.
func (p *pod) check(t *testing.T) error {
	t.Helper()
	args := *p.args
	var c map[string]any
	must(t, json.Unmarshal(args.StdinData, &c))
	c["prevResult"] = p.result
	var err error
	args.StdinData, err = json.Marshal(c)
	must(t, err)
	checked := *p
	checked.args = &args
	_, err = checked.call((*cni.Plugin).Check)
	return err
}

func (p *pod) addresses() []netip.Addr { return []netip.Addr{p.v4, p.v6} }

// store calls fn with the node's store.
func (n *node) store(t *testing.T, fn func(s *ipam.Store)) {
	t.Helper()
	s, err := ipam.Open(t.Context(), ipam.Options{Folder: n.plugin.Folder, Now: n.plugin.Now, Found: func() ([]ipam.Found, error) { return nil, nil }})
	must(t, err)
	fn(s)
	must(t, s.Close())
}

// wantStore expects these numbers of records, and nothing wrong.
func (n *node) wantStore(t *testing.T, records int) {
	t.Helper()
	n.store(t, func(s *ipam.Store) {
		problems, err := s.Check()
		must(t, err)
		for _, p := range problems {
			t.Errorf("store of %s: %s", n.name, p)
		}
		list, err := s.List()
		must(t, err)
		// All nodes are on one machine here, so a new store finds addresses of others.
		list = slices.DeleteFunc(list, func(r ipam.Record) bool {
			return !slices.ContainsFunc(n.file.Pools, func(p nodefile.Pool) bool { return p.Interface.MAC == r.MAC })
		})
		if len(list) != records {
			t.Errorf("store of %s has %d records, want %d: %v", n.name, len(list), records, list)
		}
	})
}

// wantLinks expects these links in the namespace, besides lo.
func wantLinks(t *testing.T, ns *netns.Namespace, want ...string) {
	t.Helper()
	list, err := handle(t, ns).LinkList()
	must(t, err)
	got := []string{}
	for _, l := range list {
		if name := l.Attrs().Name; name != "lo" {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		t.Errorf("links of %s (-want +got):\n%s", ns.Path(), diff)
	}
}

// end is one side of a ping: a namespace, with an address of each family or none.
type end struct {
	name   string
	ns     *netns.Namespace
	v4, v6 netip.Addr
}

func (p *pod) end() end  { return end{p.args.ContainerID, p.Namespace, p.v4, p.v6} }
func (n *node) end() end { return end{n.name, n.Namespace, n.v4, n.v6} }

// wantPings pings from one end to the other in each family that both have, with packets of a size, and expects the fabric to drop nothing.
func (w *world) wantPings(t *testing.T, from, to end, size int) {
	t.Helper()
	drops := w.dropped(t, func() {
		pings := 0
		for _, pair := range [][2]netip.Addr{{from.v4, to.v4}, {from.v6, to.v6}} {
			if !pair[0].IsValid() || !pair[1].IsValid() {
				continue
			}
			pings++
			if err := probe.Ping(from.ns, pair[0], pair[1], size, probe.Timeout); err != nil {
				t.Errorf("from %s to %s: %v", from.name, to.name, err)
			}
		}
		if pings == 0 {
			t.Errorf("from %s to %s: no family in common", from.name, to.name)
		}
	})
	if diff := cmp.Diff(map[fabric.Reason]uint64{}, drops); diff != "" {
		t.Errorf("from %s to %s the fabric dropped (-want +got):\n%s", from.name, to.name, diff)
	}
}

// dropped runs do and returns what the fabric counted meanwhile, apart from what kernels send by themselves.
func (w *world) dropped(t *testing.T, do func()) map[fabric.Reason]uint64 {
	t.Helper()
	before, err := w.Drops()
	must(t, err)
	do()
	after, err := w.Drops()
	must(t, err)
	for reason, n := range after {
		after[reason] = n - before[reason]
		if after[reason] == 0 || slices.Contains([]fabric.Reason{fabric.UnspecifiedSource, fabric.LinkLocalSource, fabric.Multicast}, reason) {
			delete(after, reason)
		}
	}
	return after
}

func offset(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

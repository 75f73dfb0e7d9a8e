// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package host

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// machine is the virtual machine as a node, with interfaces of a VPC.
type machine struct {
	*Host
	fabric *fabric.Fabric
	log    *bytes.Buffer
	file   nodefile.File
	pods   int
}

const (
	mac1, mac2 = "02:00:00:00:10:01", "02:00:00:00:10:02"
	range1     = "172.31.28.16/28"
	range1v6   = "2406:da1e:c4:ed01:c57d::/80"
)

// newMachine has the interface eth1, down, with a pool of each family, and what the host needs.
func newMachine(t *testing.T) *machine {
	t.Helper()
	h, log := newHost(t)
	h.paths.Sysctl = "/proc/sys"
	m := &machine{Host: h, log: log}
	var err error
	m.fabric, err = fabric.New(fabric.Subnet{Name: "a", IPv4: netip.MustParsePrefix("172.31.16.0/20"), IPv6: netip.MustParsePrefix("2406:da1e:c4:ed01::/64")})
	must(t, err)
	t.Cleanup(func() { must(t, m.fabric.Close()) })
	m.file = nodefile.File{
		Writer: "test",
		Node:   nodefile.Node{Name: "master", UID: "uid", Addresses: []netip.Addr{netip.MustParseAddr("172.31.18.11")}},
		Networks: []nodefile.Network{{
			Name: "ens6", RequestedIPs: nodefile.RequestedIPsDeny, MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataAllow},
			HostLeg: nodefile.HostLeg{Enabled: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}},
		}},
	}
	for _, p := range []struct {
		name, ranges, gateway string
		family                nodefile.Family
		subnet                string
	}{{"v4", range1, "172.31.16.1", nodefile.IPv4, "172.31.16.0/20"}, {"v6", range1v6, "fe80:ec2::1", nodefile.IPv6, "2406:da1e:c4:ed01::/64"}} {
		m.file.Pools = append(m.file.Pools, nodefile.Pool{
			Name: p.name, Generation: 1, Network: "ens6", Interface: nodefile.Interface{ID: "eni-1", MAC: mac1, DeviceIndex: 1}, Family: p.family,
			Subnet: netip.MustParsePrefix(p.subnet), Gateway: netip.MustParseAddr(p.gateway), Ranges: ranges(p.ranges), Allocation: nodefile.AllocationEnabled,
		})
	}
	m.attach(t, "eth1", mac1, range1, range1v6)
	for _, name := range []string{"ipv4.ip_forward", "ipv6.conf.all.forwarding"} {
		must(t, os.WriteFile("/proc/sys/net/"+strings.ReplaceAll(name, ".", "/"), []byte("0"), 0))
	}
	return m
}

func ranges(list ...string) nodefile.Ranges {
	r, err := nodefile.ParseRanges(list)
	if err != nil {
		panic(err)
	}
	return r
}

// attach gives the machine an interface of the VPC. It goes with the fabric.
func (m *machine) attach(t *testing.T, name, mac string, bound ...string) {
	t.Helper()
	here, err := netns.Current()
	must(t, err)
	defer func() { must(t, here.Close()) }()
	eni := fabric.ENI{Name: "eni-" + name, Subnet: "a"}
	eni.MAC, err = net.ParseMAC(mac)
	must(t, err)
	for _, b := range bound {
		eni.Bound = append(eni.Bound, netip.MustParsePrefix(b))
	}
	must(t, m.fabric.Attach(eni, here, name))
}

// apply applies the machine's node file, and expects that no part fails.
func (m *machine) apply(t *testing.T) Observation {
	t.Helper()
	o := m.Apply(t.Context(), "master", &m.file)
	for part, err := range o.Failed {
		t.Errorf("%s: %v", part, err)
	}
	return o
}

// changed says what the host has logged since it was asked last.
func (m *machine) changed() string {
	defer m.log.Reset()
	return m.log.String()
}

// pod is a namespace that the CNI attaches to the network.
type pod struct {
	*netns.Namespace
	plugin cni.Plugin
	args   *cni.Call
}

func (m *machine) newPod(t *testing.T) *pod {
	t.Helper()
	m.pods++
	id := fmt.Sprintf("pod-%d", m.pods)
	ns, err := netns.NewNamed(id)
	must(t, err)
	t.Cleanup(func() { _ = ns.Close() })
	return &pod{
		Namespace: ns,
		plugin:    cni.Plugin{NodeFile: m.paths.NodeFile, Folder: m.paths.Store, Out: &bytes.Buffer{}, Log: os.Stderr},
		args: &cni.Call{
			ContainerID: id, Netns: ns.Path(), IfName: "eth0", Args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=" + id,
			StdinData: []byte(`{"cniVersion":"1.1.0","name":"ens6","type":"underlay","network":"ens6"}`),
		},
	}
}

func (p *pod) add() error { return p.plugin.Add(p.args) }
func (p *pod) del() error { return p.plugin.Del(p.args) }

func (m *machine) addPod(t *testing.T) *pod {
	t.Helper()
	p := m.newPod(t)
	must(t, p.add())
	return p
}

// held lists the addresses that pods hold.
func (m *machine) held(t *testing.T) []netip.Addr {
	t.Helper()
	s, err := ipam.Open(t.Context(), m.storeOptions())
	must(t, err)
	defer func() { must(t, s.Close()) }()
	records, err := s.List()
	must(t, err)
	var list []netip.Addr
	for _, r := range records {
		list = append(list, r.Addresses()...)
	}
	return list
}

func link(t *testing.T, name string) *netlink.LinkAttrs {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l.Attrs()
}

func isUp(l *netlink.LinkAttrs) bool { return l.Flags&net.FlagUp != 0 }

func sysctl(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(read(t, filepath.Join("/proc/sys/net", name)))
}

func anyIn(list []netip.Addr, r iprange.Range) bool { return slices.ContainsFunc(list, r.Contains) }

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// nodePort has the node translate what comes to a port of its own addresses to a pod's, for both protocols, and leave the client's address alone: as
// kube-proxy does for externalTrafficPolicy: Local, and portmap for host ports.
func nodePort(t *testing.T, n *node, port uint16, p *pod) {
	t.Helper()
	c, err := nftables.New(nftables.WithNetNSFd(n.FD()))
	must(t, err)
	table := c.AddTable(&nftables.Table{Name: "nodeports", Family: nftables.TableFamilyINet})
	chain := c.AddChain(&nftables.Chain{
		Name: "prerouting", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	})
	for i, family := range []byte{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
		for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
				&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
				&expr.Immediate{Register: 1, Data: p.addresses()[i].AsSlice()},
				&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(mirrorPort)},
				&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(family), RegAddrMin: 1, RegProtoMin: 2},
			}})
		}
	}
	must(t, c.Flush())
}

// serve has the pod mirror its clients.
func (p *pod) serve(t *testing.T) {
	t.Helper()
	for _, a := range p.addresses() {
		mirror, err := probe.Serve(p.Namespace, netip.AddrPortFrom(a, mirrorPort))
		must(t, err)
		t.Cleanup(func() { must(t, mirror.Close()) })
	}
}

// answers asks a port of the node by both families and protocols, and lists who does not get an answer, or is not seen as itself.
func answers(client end, n *node, port uint16, size int, timeout time.Duration) []string {
	var wrong []string
	for _, pair := range [][2]netip.Addr{{client.v4, n.v4}, {client.v6, n.v6}} {
		for _, network := range []string{"tcp", "udp"} {
			seen, err := probe.Ask(client.ns, network, pair[0], netip.AddrPortFrom(pair[1], port), size, timeout)
			if err != nil || seen.Addr() != pair[0] {
				wrong = append(wrong, fmt.Sprintf("%s %s: seen as %v, %v", network, pair[1], seen, err))
			}
		}
	}
	return wrong
}

// setAnswers does what the agent does, on one interface.
func setAnswers(t *testing.T, n *node, mac string, a datapath.Answers) {
	t.Helper()
	must(t, n.Do(func() error {
		d, err := datapath.Open(datapath.Options{Folder: n.plugin.Folder})
		if err != nil {
			return err
		}
		defer d.Close()
		_, err = d.SetAnswers(mac, a)
		return err
	}))
}

// TestAnswersByTheHostLeg has clients come to pods by ports of their node, with their own address.
func TestAnswersByTheHostLeg(t *testing.T) {
	t.Run("by the kernel's lookup", func(t *testing.T) { answersByTheHostLeg(t, 1) })
	t.Run("by act_ct", func(t *testing.T) {
		hideTypes(t)
		answersByTheHostLeg(t, 3)
	})
}

// answersByTheHostLeg expects so many filters on each interface.
func answersByTheHostLeg(t *testing.T, filters int) {
	w := newWorld(t)
	m := w.addNode(t, "master", card{"ens5", "a", "172.31.28.48/28", "2406:da1e:c4:ed01:c57f::/80"}, master(), second())
	k := w.addNode(t, "worker", primary("b"), worker())
	remote := k.addPod(t, "ens6")
	sibling := m.addPod(t, "ens6")
	ports := map[string]uint16{"ens5": 30005, "ens6": 30006}
	pods := map[string]*pod{}
	for network, port := range ports {
		pods[network] = m.addPod(t, network)
		nodePort(t, m, port, pods[network])
		pods[network].serve(t)
	}
	for network, port := range ports {
		for _, client := range []end{k.end(), remote.end()} {
			t.Run(network+" from "+client.name, func(t *testing.T) {
				drops := w.dropped(t, func() {
					for _, wrong := range answers(client, m, port, 1000, probe.Timeout) {
						t.Error(wrong)
					}
				})
				if diff := cmp.Diff(map[fabric.Reason]uint64{}, drops); diff != "" {
					t.Errorf("the fabric dropped (-want +got):\n%s", diff)
				}
			})
		}
		t.Run(network+" from a pod of the node", func(t *testing.T) {
			for i, a := range []netip.Addr{m.v4, m.v6} {
				for _, protocol := range []string{"tcp", "udp"} {
					if _, err := probe.Ask(sibling.Namespace, protocol, sibling.addresses()[i], netip.AddrPortFrom(a, port), 64, probe.Timeout); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	p := pods["ens6"]
	silent, start := connect(t, k.Namespace, netip.AddrPortFrom(m.v4, ports["ens6"])), time.Now()
	_, err := silent.Write([]byte("?"))
	must(t, err)
	t.Run("the pod's own traffic", func(t *testing.T) {
		w.wantPings(t, p.end(), remote.end(), fabric.MTU)
		for i, source := range p.addresses() {
			at := netip.AddrPortFrom(remote.addresses()[i], mirrorPort+1)
			mirror, err := probe.Serve(remote.Namespace, at)
			must(t, err)
			for _, protocol := range []string{"tcp", "udp"} {
				if seen, err := probe.Ask(p.Namespace, protocol, source, at, 1000, probe.Timeout); err != nil || seen.Addr() != source {
					t.Errorf("%s: seen as %v, %v", protocol, seen, err)
				}
			}
			must(t, mirror.Close())
			if !hears(t, remote.Namespace, remote.addresses()[i], probe.Timeout, func(to netip.AddrPort) { p.tell(t, source, to, 20000) }) {
				t.Errorf("from %s: a datagram in fragments does not arrive", source)
			}
		}
	})
	t.Run("strict checks of sources", func(t *testing.T) {
		must(t, m.Set("net.ipv4.conf.all.rp_filter", "1"))
		defer func() { must(t, m.Set("net.ipv4.conf.all.rp_filter", "0")) }()
		if len(answers(k.end(), m, ports["ens6"], 64, lost)) == 0 {
			t.Error("answers pass the strict check: lo needs no setting")
		}
		m.plugin.Folder = t.TempDir() // as after a boot
		must(t, m.addPod(t, "ens6").del())
		if wrong := answers(k.end(), m, ports["ens6"], 64, probe.Timeout); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
	t.Run("a connection that is silent for long", func(t *testing.T) {
		time.Sleep(time.Until(start.Add(40 * time.Second))) // the kernel forgets what it has cached of a connection after 30
		_, err = silent.Write([]byte(strings.Repeat("?", 100)))
		must(t, err)
		tcp, ok := silent.(*net.TCPConn)
		if !ok {
			t.Fatalf("the connection is a %T", silent)
		}
		must(t, tcp.CloseWrite())
		must(t, silent.SetReadDeadline(time.Now().Add(probe.Timeout)))
		line, err := bufio.NewReader(silent).ReadString('\n')
		must(t, err)
		if want := silent.LocalAddr().String() + "\n"; line != want {
			t.Errorf("the answer is %q, want %q", line, want)
		}
	})
	t.Run("without", func(t *testing.T) {
		mac := p.node.file.Pools[2].Interface.MAC
		setAnswers(t, m, mac, datapath.Answers{})
		wantAnswerFilters(t, m, "ens6", 0)
		wantAnswerFilters(t, m, "ens5", filters)
		if wrong := answers(k.end(), m, ports["ens6"], 64, lost); len(wrong) != 4 {
			t.Errorf("some answers arrive by themselves: %v", wrong)
		}
		setAnswers(t, m, mac, datapath.Answers{Pods: m.file.HostLegPods(mac), Node: m.file.Node.Addresses})
		wantAnswerFilters(t, m, "ens6", filters)
		if wrong := answers(k.end(), m, ports["ens6"], 64, probe.Timeout); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
}

func connect(t *testing.T, from *netns.Namespace, to netip.AddrPort) net.Conn {
	t.Helper()
	var conn net.Conn
	must(t, from.Do(func() (err error) {
		conn, err = (&net.Dialer{Timeout: probe.Timeout}).DialContext(t.Context(), "tcp", to.String())
		return err
	}))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// wantAnswerFilters expects that many filters behind those that drop.
func wantAnswerFilters(t *testing.T, n *node, name string, want int) {
	t.Helper()
	links := n.handle(t)
	l, err := links.LinkByName(name)
	must(t, err)
	list, err := links.FilterList(l, netlink.HANDLE_MIN_EGRESS)
	must(t, err)
	list = slices.DeleteFunc(list, func(f netlink.Filter) bool { return f.Attrs().Priority != 118 })
	if len(list) != want {
		t.Errorf("%s has filters %v of answers, want %d", name, list, want)
	}
}

// sysctl reads a setting of the namespace below /proc/sys.
func sysctl(t *testing.T, in *netns.Namespace, name string) string {
	t.Helper()
	var value []byte
	must(t, in.Do(func() (err error) {
		value, err = os.ReadFile(filepath.Join("/proc/sys", name))
		return err
	}))
	return strings.TrimSpace(string(value))
}

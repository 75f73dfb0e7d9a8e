// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// hideTypes makes the kernel one that does not show its types, so that no program can call its functions.
func hideTypes(t *testing.T) {
	t.Helper()
	const file = "/sys/kernel/btf/vmlinux"
	must(t, unix.Mount("/dev/null", file, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(file, 0)) })
}

// hideModules keeps the kernel from loading modules, once all that pods need are there, and unloads some, which nothing may use.
func hideModules(t *testing.T, modules ...string) {
	t.Helper()
	const helper = "/proc/sys/kernel/modprobe"
	before, err := os.ReadFile(helper)
	must(t, err)
	if missing, err := datapath.MissingModules(); err != nil || len(missing) > 0 { // it loads them
		t.Fatal(missing, err)
	}
	must(t, os.WriteFile(helper, []byte("/nonexistent"), 0o644))
	t.Cleanup(func() { must(t, os.WriteFile(helper, before, 0o644)) })
	for _, module := range modules {
		unload(t, module)
	}
}

// TestKernelsWithoutTracking has the kernels of Amazon Linux 2023 and of Bottlerocket, which lack act_ct and cls_matchall, and one that can do neither.
func TestKernelsWithoutTracking(t *testing.T) {
	t.Run("as Amazon's", func(t *testing.T) {
		w := newWorld(t)
		hideModules(t, "act_ct", "cls_matchall", "cls_flower")
		m := w.addNode(t, "master", primary("a"), master())
		k := w.addNode(t, "worker", primary("b"), worker())
		for i := range m.file.Networks { // with all that filters can do
			m.file.Networks[i].MetadataService = nodefile.MetadataService{Mode: nodefile.MetadataBlock}
		}
		m.write(t)
		p := m.newPod(t, "ens6")
		p.limited(t, 10_000_000, 20_000_000)
		must(t, p.add(t))
		must(t, p.check(t))
		nodePort(t, m, 30006, p)
		p.serve(t)
		if wrong := answers(k.end(), m, 30006, 1000, probe.Timeout); len(wrong) > 0 {
			t.Error(wrong)
		}
		wantAnswerFilters(t, m, "ens6", 1)
		wantFilters(t, m, "ens6", 1)
	})
	t.Run("without lookup", func(t *testing.T) {
		w := newWorld(t)
		hideTypes(t)
		hideModules(t, "act_ct", "cls_matchall", "cls_flower")
		m := w.addNode(t, "master", primary("a"), master())
		k := w.addNode(t, "worker", primary("b"), worker())
		p, remote := m.addPod(t, "ens6"), k.addPod(t, "ens6")
		must(t, p.check(t))
		wantAnswerFilters(t, m, "ens6", 0)
		for _, to := range []end{remote.end(), m.end(), k.end()} {
			w.wantPings(t, p.end(), to, fabric.MTU)
			w.wantPings(t, to, p.end(), fabric.MTU)
		}
		for i, service := range []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00:10:96::10")} {
			mirror, err := probe.Serve(remote.Namespace, netip.AddrPortFrom(remote.addresses()[i], mirrorPort))
			must(t, err)
			t.Cleanup(func() { must(t, mirror.Close()) })
			translate(t, m.Namespace, service, remote.addresses()[i])
			if _, err := probe.Ask(p.Namespace, "tcp", p.addresses()[i], netip.AddrPortFrom(service, mirrorPort), 64, probe.Timeout); err != nil {
				t.Error(err)
			}
		}
		nodePort(t, m, 30006, p)
		p.serve(t)
		if wrong := answers(k.end(), m, 30006, 64, lost); len(wrong) != 4 {
			t.Errorf("some answers arrive: %v", wrong)
		}
		err := m.setAnswers(m.file.Pools[0].Interface.MAC)
		if err == nil || !strings.Contains(err.Error(), "lacks the module cls_flower") || !strings.Contains(err.Error(), "the kernel's types are none") {
			t.Errorf("error %v: it should say what the kernel lacks", err)
		}
		wantAnswerFilters(t, m, "ens6", 0)
	})
}

// setAnswers has answers taken back on an interface as the node file says.
func (n *node) setAnswers(mac string) error {
	return n.Do(func() error {
		d, err := datapath.Open(datapath.Options{Folder: n.plugin.Folder})
		if err != nil {
			return err
		}
		defer d.Close()
		_, err = d.SetAnswers(mac, datapath.Answers{Pods: n.file.HostLegPods(mac), Node: n.file.Node.Addresses})
		return err
	})
}

// TestFullTable fills the node's table of connections: the node takes no new ones then, and pods go on by their own interfaces.
func TestFullTable(t *testing.T) {
	t.Run("by the kernel's lookup", fullTable)
	t.Run("by act_ct", func(t *testing.T) { // that of Linux 6.1: newer ones drop
		hideTypes(t)
		fullTable(t)
	})
}

func fullTable(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master(), second())
	k := w.addNode(t, "worker", primary("b"), worker())
	p, other := m.addPod(t, "ens6"), m.addPod(t, "ens7")
	nodePort(t, m, 30006, p)
	p.serve(t)
	for range 4 { // answered ones, which do not make room for others
		conn := connect(t, k.Namespace, netip.AddrPortFrom(m.v4, 30006))
		_, err := conn.Write([]byte("?"))
		must(t, err)
	}
	const limit = "/proc/sys/net/netfilter/nf_conntrack_max"
	before, err := os.ReadFile(limit)
	must(t, err)
	must(t, os.WriteFile(limit, []byte("1"), 0o644))
	t.Cleanup(func() { must(t, os.WriteFile(limit, before, 0o644)) })
	if wrong := answers(k.end(), m, 30006, 64, lost); len(wrong) != 4 {
		t.Errorf("the node takes connections, its table is not full: %v", wrong)
	}
	for i, source := range p.addresses() {
		at := netip.AddrPortFrom(other.addresses()[i], mirrorPort+1)
		mirror, err := probe.Serve(other.Namespace, at)
		must(t, err)
		t.Cleanup(func() { must(t, mirror.Close()) })
		for _, protocol := range []string{"tcp", "udp"} {
			if _, err := probe.Ask(p.Namespace, protocol, source, at, 64, probe.Timeout); err != nil {
				t.Errorf("%s from %s while the node's table is full: %v", protocol, source, err)
			}
		}
	}
}

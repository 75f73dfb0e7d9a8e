// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// wantFailure runs ADD as a process, as a runtime does, and expects an error with a code and a text.
func (p *pod) wantFailure(t *testing.T, code uint, word string) {
	t.Helper()
	var out bytes.Buffer
	cmd, err := p.process(t.Context(), "ADD", &out)
	must(t, err)
	if cmd.Wait() == nil {
		t.Fatalf("ADD succeeded: %s", out.String())
	}
	failure := &types.Error{}
	must(t, json.Unmarshal(out.Bytes(), failure))
	if failure.Code != code || !strings.Contains(failure.Msg, word) {
		t.Errorf("error %d, %q; want %d and %q", failure.Code, failure.Msg, code, word)
	}
}

// TestBadInput asks for what must not be had, on a node where all works. Each ADD fails with a code and says why, and neither the namespace, the node nor
// the store has anything of it; the pod that is there does not notice.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	n.file.Networks[1].AllowedNamespaces = []string{"default", "web"}
	n.file.Networks[1].RequestedIPs = nodefile.RequestedIPsAllow
	n.write(t)
	live := n.addPod(t, "ens6")
	fifo, file := filepath.Join(t.TempDir(), "fifo"), filepath.Join(t.TempDir(), "file")
	must(t, unix.Mkfifo(fifo, 0o600))
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	set := func(key string, value any) func(t *testing.T, p *pod) {
		return func(t *testing.T, p *pod) { p.with(t, key, value) }
	}
	container := func(id string) func(t *testing.T, p *pod) {
		return func(_ *testing.T, p *pod) { p.args.ContainerID = id }
	}
	name := func(name string) func(t *testing.T, p *pod) {
		return func(_ *testing.T, p *pod) { p.args.IfName = name }
	}
	namespace := func(path string) func(t *testing.T, p *pod) {
		return func(_ *testing.T, p *pod) { p.args.Netns = path }
	}
	ips := func(list ...string) func(t *testing.T, p *pod) {
		return set("runtimeConfig", map[string]any{"ips": list})
	}
	env := func(text string) func(t *testing.T, p *pod) { return func(_ *testing.T, p *pod) { p.args.Args = text } }
	for _, c := range []struct {
		name   string
		change func(t *testing.T, p *pod)
		code   uint
		word   string
	}{
		{"unknown network", set("network", "ens99"), cni.CodeRefused, "does not carry network ens99: its UnderlayNetwork does not choose this node"},
		{"network without pools", set("network", "ens5"), cni.CodeRefused, "network ens5 has no pool on node master"},
		{"network with a path", set("network", "../ens6"), cni.CodeRefused, "does not carry network ../ens6"},
		{"unknown key", set("ipam", map[string]any{"type": "host-local"}), types.ErrInvalidNetworkConfig, `the key "ipam" is unknown`},
		{"a file of its own", set("nodeFile", "/etc/shadow"), types.ErrInvalidNetworkConfig, `the key "nodeFile" is unknown`},
		{"master by name", set("master", "ens6"), types.ErrInvalidNetworkConfig, `the key "master" is unknown`},
		{"wrong CNI version", set("cniVersion", "0.2.0"), types.ErrIncompatibleCNIVersion, "incompatible"},
		{"future CNI version", set("cniVersion", "2.0.0"), types.ErrIncompatibleCNIVersion, "incompatible"},
		{"CNI version of another type", set("cniVersion", 1), types.ErrDecodingFailure, "cniVersion"},
		{"another MAC", set("runtimeConfig", map[string]any{"mac": "02:00:00:00:00:01"}), types.ErrUnsupportedField, "do not ask for another"},
		{"too little bandwidth", set("runtimeConfig", map[string]any{"bandwidth": map[string]any{"ingressRate": 5}}), types.ErrInvalidNetworkConfig, "1000 are the least"},
		{"container id with a path", container("../../etc"), types.ErrInvalidEnvironmentVariables, "containerID"},
		{"container id of found addresses", container("~netns-1"), types.ErrInvalidEnvironmentVariables, "containerID"},
		{"endless container id", container(strings.Repeat("a", 2000)), cni.CodeRefused, "must be one that a runtime gives"},
		{"interface with a path", name("../eth0"), types.ErrInvalidEnvironmentVariables, "interface name"},
		{"interface ..", name(".."), types.ErrInvalidEnvironmentVariables, "interface name"},
		{"interface too long", name("abcdefghijklmnop"), types.ErrInvalidEnvironmentVariables, "interface name"},
		{"interface lo", name("lo"), types.ErrInternal, `cannot be called "lo"`},
		{"interface all", name("all"), types.ErrInternal, `cannot be called "all"`},
		{"interface default", name("default"), types.ErrInternal, `cannot be called "default"`},
		{"interface whose name the kernel completes", name("eth%d"), types.ErrInternal, `cannot be called "eth%d"`},
		{"interface of the host leg", name("host0"), types.ErrInternal, `cannot be called "host0"`},
		{"namespace by a relative path", namespace("run/netns/x"), types.ErrInvalidNetNS, "absolute"},
		{"namespace is missing", namespace("/run/netns/../netns/none"), types.ErrInvalidNetNS, "no such file"},
		{"namespace is a FIFO", namespace(fifo), types.ErrInvalidNetNS, "not a namespace"},
		{"namespace is a file", namespace(file), types.ErrInvalidNetNS, "not a namespace"},
		{"namespace is a folder", namespace("/proc"), types.ErrInvalidNetNS, "not a namespace"},
		{"namespace is of mounts", namespace("/proc/self/ns/mnt"), types.ErrInvalidNetNS, "not of the network"},
		{"namespace is the node's", namespace("/proc/self/ns/net"), types.ErrInvalidNetNS, "hostNetwork"},
		{"address outside of the pools", ips("172.31.29.5"), cni.CodeRefused, "172.31.29.5"},
		{"address of another network", ips("172.31.28.33"), cni.CodeRefused, "172.31.28.33"},
		{"the node's address", ips(n.v4.String()), cni.CodeRefused, n.v4.String()},
		{"the gateway's address", ips("172.31.16.1"), cni.CodeRefused, "172.31.16.1"},
		{"a pod's address", ips(live.v4.String()), types.ErrTryAgainLater, "is held by pod default/"},
		{"two routes to one place", set("args", map[string]any{"cni": map[string]any{"routes": []map[string]string{
			{"dst": "10.0.0.0/8"}, {"dst": "10.0.0.0/8", "gw": "172.31.16.9"},
		}}}), types.ErrInvalidNetworkConfig, "asks for two routes to 10.0.0.0/8"},
		{"no address", ips("../../etc/passwd"), types.ErrInvalidNetworkConfig, "which is none"},
		{"namespace that is not allowed", env("IgnoreUnknown=1;K8S_POD_NAMESPACE=other;K8S_POD_NAME=x"), cni.CodeRefused, `does not allow pods of namespace "other"`},
		{"namespace that is not known", env(""), cni.CodeRefused, `does not allow pods of namespace ""`},
		{"unknown argument", env("K8S_POD_NAMESPACE=default;STRANGE=1"), types.ErrInvalidEnvironmentVariables, "STRANGE"},
		{"pod name of control characters", env("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=a\x1b[2J"), types.ErrInvalidEnvironmentVariables, "K8S_POD_NAME"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := n.leftovers(t)
			p := n.newPod(t, "ens6")
			c.change(t, p)
			p.wantFailure(t, c.code, c.word)
			wantLinks(t, p.Namespace)
			wantNoRules(t, p)
			n.wantStore(t, 1)
			if diff := cmp.Diff(before, n.leftovers(t)); diff != "" {
				t.Errorf("what is left on the node (-before +after):\n%s", diff)
			}
			must(t, live.check(t))
		})
	}
}

// TestForeignMaster has links of others on the node's interface: there is no ADD until they are gone. (TestMaster has more of them, in namespaces.)
func TestForeignMaster(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	links := n.handle(t)
	master, err := links.LinkByName("ens6")
	must(t, err)
	for _, c := range []struct {
		name string
		link func(attrs netlink.LinkAttrs) netlink.Link
		word string
	}{
		{"macvlan", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}
		}, "macvlan"},
		{"macvtap", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.Macvtap{Macvlan: netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}}
		}, "macvtap"},
		{"ipvlan in mode l3", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.IPVlan{LinkAttrs: a, Mode: netlink.IPVLAN_MODE_L3}
		}, "another mode"},
		{"ipvlan in mode l3s", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.IPVlan{LinkAttrs: a, Mode: netlink.IPVLAN_MODE_L3S}
		}, "another mode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.ParentIndex = "foreign0", master.Attrs().Index
			foreign := c.link(attrs)
			must(t, links.LinkAdd(foreign))
			must(t, os.RemoveAll(filepath.Join(n.plugin.Folder, "masters"))) // nothing is known since boot
			n.wantRefused(t, "ens6", cni.CodeInterface, c.word)
			must(t, links.LinkDel(foreign))
			p := n.addPod(t, "ens6")
			must(t, p.check(t))
			must(t, p.del())
			n.wantStore(t, 0)
		})
	}
}

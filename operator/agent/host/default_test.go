// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name     string
		d        Default
		exists   bool
		pods     int
		programs bool
		want     action
		refused  string
	}{
		{name: "nothing wanted, nothing there", programs: true, want: keep},
		{name: "first", d: Default{Wanted: "a"}, programs: true, want: install},
		{name: "again", d: Default{Wanted: "a", Installed: "a"}, exists: true, pods: 3, programs: true, want: install},
		{name: "without programs", d: Default{Wanted: "a"}, want: keep, refused: "the CNI programs are not installed"},
		{name: "again without programs", d: Default{Wanted: "a", Installed: "a"}, exists: true, want: install},
		{name: "no longer wanted, with pods", d: Default{Installed: "a"}, exists: true, pods: 2, programs: true, want: keep, refused: "network a stays until its last pod on this node is deleted, of 2"},
		{name: "no longer wanted, without pods", d: Default{Installed: "a"}, exists: true, programs: true, want: remove},
		{name: "another wanted, with pods", d: Default{Wanted: "b", Installed: "a"}, exists: true, pods: 1, programs: true, want: keep, refused: "network a stays"},
		{name: "another wanted, without pods", d: Default{Wanted: "b", Installed: "a"}, exists: true, programs: true, want: install},
		{name: "unreadable", d: Default{Wanted: "a"}, exists: true, pods: 4, programs: true, want: install},
		{name: "unreadable and not wanted, with pods", exists: true, pods: 1, programs: true, want: keep, refused: "network (unreadable) stays"},
		{name: "unreadable and not wanted, without pods", exists: true, programs: true, want: remove},
		{name: "foreign", d: Default{Wanted: "a", Foreign: "00-x.conf"}, programs: true, want: keep, refused: "00-x.conf before ours"},
		{name: "foreign comes later", d: Default{Wanted: "a", Installed: "a", Foreign: "00-x.conf"}, exists: true, programs: true, want: install, refused: "00-x.conf before ours"},
		{name: "foreign, and another wanted", d: Default{Wanted: "b", Installed: "a", Foreign: "00-x.conf"}, exists: true, programs: true, want: remove, refused: "00-x.conf before ours"},
		{name: "foreign, and nothing wanted", d: Default{Foreign: "00-x.conf"}, programs: true, want: keep},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := c.d
			if got := d.decide(c.exists, c.pods, c.programs); got != c.want {
				t.Errorf("action %d, want %d", got, c.want)
			}
			if (c.refused == "") != (d.Refused == "") || !strings.Contains(d.Refused, c.refused) {
				t.Errorf("refused %q, want %q", d.Refused, c.refused)
			}
		})
	}
}

// TestConfiguration reads what the agent writes with the library that runtimes read it with.
func TestConfiguration(t *testing.T) {
	for _, c := range []struct {
		name     string
		network  nodefile.Network
		underlay map[string]bool
	}{
		{"usual", nodefile.Network{Name: "ens5"}, map[string]bool{"bandwidth": true}},
		{"requested addresses", nodefile.Network{Name: "ens6", RequestedIPs: nodefile.RequestedIPsAllow}, map[string]bool{"bandwidth": true, "ips": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			content, err := configOf(&c.network)
			must(t, err)
			list, err := libcni.NetworkConfFromBytes(content)
			must(t, err)
			if list.Name != c.network.Name || list.CNIVersion != "1.1.0" {
				t.Errorf("network %s, version %s; want %s and 1.1.0", list.Name, list.CNIVersion, c.network.Name)
			}
			var types []string
			for _, p := range list.Plugins {
				types = append(types, p.Network.Type)
			}
			if diff := cmp.Diff([]string{"underlay", "portmap"}, types); diff != "" {
				t.Errorf("plugins (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.underlay, list.Plugins[0].Network.Capabilities); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]bool{"portMappings": true}, list.Plugins[1].Network.Capabilities); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"none", nil, ""},
		{"ours", map[string]string{ConfigName: `{"plugins":[{"type":"underlay"}]}`}, ""},
		{"later", map[string]string{"10-calico.conflist": `{"plugins":[{"type":"calico"}]}`}, ""},
		{"earlier", map[string]string{"00-cilium.conflist": `{"plugins":[{"type":"cilium-cni"}]}`}, "00-cilium.conflist"},
		{"of two the first", map[string]string{"02-b.conf": `{"type":"b"}`, "01-a.json": `{"type":"a"}`}, "01-a.json"},
		{"Multus", map[string]string{"00-multus.conf": `{"type":"multus","delegates":[]}`}, ""},
		{"Multus' shim", map[string]string{"00-multus.conf": `{"type":"multus-shim"}`}, ""},
		{"Multus in a list", map[string]string{"00-multus.conflist": `{"plugins":[{"type":"multus-shim"}]}`}, ""},
		{"Multus, and another", map[string]string{"00-multus.conf": `{"type":"multus"}`, "01-a.conf": `{"type":"a"}`}, "01-a.conf"},
		{"unreadable", map[string]string{"00-x.conf": `{`}, "00-x.conf"},
		{"with other types than usual", map[string]string{"00-x.conf": `{"type":7}`}, "00-x.conf"},
		{"no configuration", map[string]string{"00-readme.txt": "hello", "00-old.conf.bak": "{}", ".05-underlay.conflist.tmp": "{"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := newHost(t)
			for name, content := range c.files {
				write(t, filepath.Join(h.paths.CNIConf, name), content)
			}
			must(t, os.MkdirAll(filepath.Join(h.paths.CNIConf, "00-folder.conf"), 0o700)) // which runtimes pass by
			got, err := h.foreign()
			must(t, err)
			if got != c.want {
				t.Errorf("foreign %q, want %q", got, c.want)
			}
		})
	}
}

// TestSettings writes into a folder that is not the kernel's.
func TestSettings(t *testing.T) {
	v4, v6 := nodefile.Pool{Network: "a", Family: nodefile.IPv4}, nodefile.Pool{Network: "a", Family: nodefile.IPv6}
	for _, c := range []struct {
		name           string
		hostLeg        bool
		pools          []nodefile.Pool
		forward4, all6 string
	}{
		{"no pools", true, nil, "0", "0"},
		{"IPv4", true, []nodefile.Pool{v4}, "1", "0"},
		{"IPv6", true, []nodefile.Pool{v6}, "0", "1"},
		{"both", true, []nodefile.Pool{v4, v6}, "1", "1"},
		{"without host legs", false, []nodefile.Pool{v4, v6}, "0", "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := newHost(t)
			ipv4, ipv6 := filepath.Join(h.paths.Sysctl, "net/ipv4/ip_forward"), filepath.Join(h.paths.Sysctl, "net/ipv6/conf/all/forwarding")
			write(t, ipv4, "0\n")
			write(t, ipv6, "0\n")
			sources(t, h, "0", "0")
			file := &nodefile.File{Networks: []nodefile.Network{{Name: "a", HostLeg: nodefile.HostLeg{Enabled: c.hostLeg}}}, Pools: c.pools}
			must(t, h.set(file))
			if diff := cmp.Diff([]string{c.forward4, c.all6}, []string{strings.TrimSpace(read(t, ipv4)), strings.TrimSpace(read(t, ipv6))}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	for _, c := range []struct{ all, lo, want string }{{"0", "0", "0"}, {"1", "0", "2"}, {"0", "1", "2"}, {"2", "1", "1"}} {
		t.Run("sources checked by "+c.all+" and "+c.lo, func(t *testing.T) {
			h, _ := newHost(t)
			write(t, filepath.Join(h.paths.Sysctl, "net/ipv4/ip_forward"), "1\n")
			lo := sources(t, h, c.all, c.lo)
			must(t, h.set(&nodefile.File{Networks: []nodefile.Network{{Name: "a", HostLeg: nodefile.HostLeg{Enabled: true}}}, Pools: []nodefile.Pool{v4}}))
			if got := strings.TrimSpace(read(t, lo)); got != c.want {
				t.Errorf("lo checks by %s, want %s", got, c.want)
			}
		})
	}
	t.Run("a kernel without IPv6", func(t *testing.T) {
		h, _ := newHost(t)
		write(t, filepath.Join(h.paths.Sysctl, "net/ipv4/ip_forward"), "1\n")
		must(t, h.set(&nodefile.File{Networks: []nodefile.Network{{Name: "a", HostLeg: nodefile.HostLeg{Enabled: true}}}, Pools: []nodefile.Pool{v6}}))
	})
	t.Run("not allowed", func(t *testing.T) {
		h, _ := newHost(t)
		must(t, os.MkdirAll(filepath.Join(h.paths.Sysctl, "net/ipv4/ip_forward"), 0o755)) // a folder cannot be written
		sources(t, h, "0", "0")
		err := h.set(&nodefile.File{Networks: []nodefile.Network{{Name: "a", HostLeg: nodefile.HostLeg{Enabled: true}}}, Pools: []nodefile.Pool{v4}})
		if err == nil || !strings.HasPrefix(err.Error(), "set net.ipv4.ip_forward to 1: ") {
			t.Errorf("error %v", err)
		}
	})
}

// sources sets how strictly the machine checks sources, and returns where it says that of lo.
func sources(t *testing.T, h *Host, all, lo string) string {
	t.Helper()
	path := filepath.Join(h.paths.Sysctl, "net/ipv4/conf/lo/rp_filter")
	write(t, filepath.Join(h.paths.Sysctl, "net/ipv4/conf/all/rp_filter"), all+"\n")
	write(t, path, lo+"\n")
	return path
}

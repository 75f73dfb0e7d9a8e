// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"encoding/json"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// What runtimes call their list: as the specification has it, and as libcni 1.2.0 did.
const validList, oldValidList = "cni.dev/valid-attachments", "cni.dev/attachments"

// collect calls GC on the node, for a network, with some pods' attachments in the runtime's list.
func (n *node) collect(t *testing.T, list, network string, valid ...*pod) {
	t.Helper()
	attachments := []types.GCAttachment{}
	for _, p := range valid {
		attachments = append(attachments, types.GCAttachment{ContainerID: p.args.ContainerID, IfName: p.args.IfName})
	}
	c := map[string]any{}
	must(t, json.Unmarshal(config(network, "1.1.0"), &c))
	c[list] = attachments
	data, err := json.Marshal(c)
	must(t, err)
	plugin := n.plugin
	must(t, n.Do(func() error { return plugin.GC(&cni.Call{StdinData: data}) }))
}

// wantRecords expects the store to hold the addresses of these pods, and no others.
func (n *node) wantRecords(t *testing.T, pods ...*pod) {
	t.Helper()
	want, got := []string{}, []string{}
	for _, p := range pods {
		want = append(want, p.args.ContainerID)
	}
	n.store(t, func(s *ipam.Store) {
		list, err := s.List()
		must(t, err)
		for _, r := range list {
			if r.Network != "" {
				got = append(got, r.ContainerID)
			}
		}
	})
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("the store holds addresses of %v, want %v", got, want)
	}
}

// TestCollect has sandboxes end without DEL.
func TestCollect(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	later := time.Duration(0)
	n.plugin.Now = func() time.Duration {
		var now unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
		return time.Duration(now.Nano()) + later
	}
	live, listed, dead, other := n.addPod(t, "ens6"), n.addPod(t, "ens6"), n.addPod(t, "ens6"), n.addPod(t, "ens7")
	emptied, moved, remains := n.addPod(t, "ens6"), n.addPod(t, "ens6"), n.addPod(t, "ens6")
	listed.vanish(t)
	dead.vanish(t)
	other.vanish(t)
	// The namespace lives on; of the third's, one address has moved to another link.
	for _, p := range []*pod{emptied, remains} {
		links := handle(t, p.Namespace)
		l, err := links.LinkByName("eth0")
		must(t, err)
		must(t, links.LinkDel(l))
	}
	must(t, handle(t, remains.Namespace).AddrAdd(loopback(t, remains), &netlink.Addr{IPNet: &net.IPNet{IP: remains.v4.AsSlice(), Mask: net.CIDRMask(32, 32)}}))
	// Another namespace stands at the same path.
	old, err := os.Open(moved.args.Netns) // else the next one may get its inode
	must(t, err)
	moved.vanish(t)
	_, name, _ := strings.Cut(moved.args.Netns, "netns/")
	successor, err := netns.NewNamed(name)
	must(t, err)
	must(t, old.Close())
	defer func() { must(t, successor.Close()) }()

	n.collect(t, validList, "ens6", listed)
	n.wantRecords(t, live, listed, dead, other, emptied, moved, remains) // all too young
	later = 3 * time.Minute
	n.collect(t, oldValidList, "ens7", live, listed, dead, other, emptied, moved, remains)
	n.wantRecords(t, live, listed, dead, other, emptied, moved, remains) // all valid
	young := n.addPod(t, "ens6")
	young.vanish(t)
	n.collect(t, validList, "ens6", listed)
	n.wantRecords(t, live, listed, other, remains, young)
	if text := n.log.String(); !strings.Contains(text, dead.args.ContainerID) || strings.Contains(text, live.args.ContainerID) {
		t.Errorf("GC said:\n%s", text)
	}
	wantLinks(t, emptied.Namespace)
	n.collect(t, validList, "ens7")
	n.wantRecords(t, live, listed, remains, young)
	n.collect(t, validList, "ens6")
	n.wantRecords(t, live, remains, young)
	must(t, live.check(t))
	must(t, dead.del()) // late, and no error
	n.wantRecords(t, live, remains, young)
}

func loopback(t *testing.T, p *pod) netlink.Link {
	t.Helper()
	l, err := handle(t, p.Namespace).LinkByName("lo")
	must(t, err)
	return l
}

// TestStatus has what a node may be like when the runtime asks.
func TestStatus(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), second())
	n.file.Networks[1].Default = true
	n.write(t)
	status := func(network string) error {
		plugin := n.plugin
		return n.Do(func() error { return plugin.Status(&cni.Call{StdinData: config(network, "1.1.0")}) })
	}
	whole, err := os.ReadFile(n.plugin.NodeFile)
	must(t, err)
	for _, c := range []struct {
		name    string
		file    []byte // nil for none
		network string
		word    string // empty where it is fine
	}{
		{"default network", whole, "ens6", ""},
		{"another network", whole, "ens7", ""},
		{"network that the node does not carry", whole, "ens9", ""},
		{"no node file", nil, "ens6", "has not written one yet"},
		{"empty node file", []byte{}, "ens6", "it is empty"},
		{"half a node file", whole[:len(whole)/2], "ens6", "half-written"},
		{"newer node file", []byte(strings.Replace(string(whole), `"version": 1`, `"version": 2`, 1)), "ens6", "of version 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.Remove(n.plugin.NodeFile))
			defer n.write(t)
			if c.file != nil {
				must(t, os.WriteFile(n.plugin.NodeFile, c.file, 0o600))
			} else {
				defer func() { must(t, os.WriteFile(n.plugin.NodeFile, whole, 0o600)) }()
			}
			if err := status(c.network); c.word != "" {
				wantCode(t, err, types.ErrPluginNotAvailable, c.word)
			} else {
				must(t, err)
			}
		})
	}
	t.Run("exhausted pools, store in use", func(t *testing.T) {
		for i := range n.file.Pools {
			n.file.Pools[i].Allocation = "Disabled"
		}
		n.write(t)
		n.store(t, func(*ipam.Store) { must(t, status("ens6")) })
	})
	t.Run("master gone and back", func(t *testing.T) {
		must(t, w.Detach("eni-master-ens7"))
		must(t, status("ens6"))
		must(t, status("ens7"))
		must(t, w.Detach("eni-master-ens6"))
		wantCode(t, status("ens6"), types.ErrPluginNotAvailable, "has no interface here that could carry pods")
		must(t, status("ens7"))
	})
	t.Run("broken configuration", func(t *testing.T) {
		plugin := n.plugin
		err := n.Do(func() error { return plugin.Status(&cni.Call{StdinData: []byte(`{"type":"underlay"}`)}) })
		wantCode(t, err, types.ErrInvalidNetworkConfig, "names no network")
	})
}

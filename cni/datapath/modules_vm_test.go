// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package datapath_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// TestLookupLoadsTracking has the agent come before the first pod, and before anybody tracks connections.
func TestLookupLoadsTracking(t *testing.T) {
	unloadAll(t, "nf_conntrack")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "nic", HardwareAddr: mac}, PeerName: "wire"}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = netlink.LinkDel(veth) }()
	d, err := datapath.Open(datapath.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pods := datapath.Answers{Pods: []netip.Prefix{netip.MustParsePrefix("172.31.28.16/28")}}
	for _, want := range []bool{true, false} {
		if changed, err := d.SetAnswers(mac.String(), pods); err != nil || changed != want {
			t.Errorf("changed %v, error %v; want %v", changed, err, want)
		}
	}
	filters, err := netlink.FilterList(veth, netlink.HANDLE_MIN_EGRESS)
	if err != nil || len(filters) != 1 {
		t.Errorf("filters %v, error %v; want the one that looks up connections", filters, err)
	}
}

// TestMissingModules first loads all of them, and names those that the machine is then kept from loading. It needs a machine in which no pod holds any,
// so it runs ahead of package cni's tests.
func TestMissingModules(t *testing.T) {
	look := func(want ...string) {
		t.Helper()
		got, err := datapath.MissingModules()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
	}
	look()
	const helper = "/proc/sys/kernel/modprobe"
	before, err := os.ReadFile(helper)
	if err == nil {
		err = os.WriteFile(helper, []byte("/nowhere\n"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(helper, before, 0); err != nil {
			t.Error(err)
		}
	})
	for _, module := range []string{"sch_tbf", "act_mirred", "cls_bpf", "ifb"} {
		unload(t, module)
	}
	look("cls_bpf", "ifb", "sch_tbf")
	unload(t, "sch_ingress")
	look("ifb", "sch_ingress", "sch_tbf")
}

// unloadAll unloads a module, and first those that use it.
func unloadAll(t *testing.T, module string) {
	t.Helper()
	users, err := os.ReadDir("/sys/module/" + module + "/holders")
	if errors.Is(err, os.ErrNotExist) {
		return // it is not loaded
	}
	for _, user := range users {
		unloadAll(t, user.Name())
	}
	unload(t, module)
}

// unload waits until the kernel has taken down the namespace in which the module was used.
func unload(t *testing.T, module string) {
	t.Helper()
	err := error(unix.EAGAIN)
	for deadline := time.Now().Add(time.Minute); errors.Is(err, unix.EAGAIN) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		err = unix.DeleteModule(module, unix.O_NONBLOCK)
	}
	if err != nil {
		t.Fatalf("unload %s: %v", module, err)
	}
}

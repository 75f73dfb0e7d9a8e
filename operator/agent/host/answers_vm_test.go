// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package host

import (
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// TestAnswers has the agent make the filters of answers by the host leg, leave them, and remove them.
func TestAnswers(t *testing.T) {
	m := newMachine(t)
	rpFilter := sysctl(t, "ipv4/conf/all/rp_filter")
	defer func() {
		must(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte(rpFilter), 0))
		must(t, os.WriteFile("/proc/sys/net/ipv4/conf/lo/rp_filter", []byte("0"), 0))
	}()
	must(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0))
	filters := func(want int) {
		t.Helper()
		list, err := netlink.FilterList(&netlink.GenericLink{LinkAttrs: *link(t, "eth1")}, netlink.HANDLE_MIN_EGRESS)
		must(t, err)
		if len(list) != want {
			t.Errorf("eth1 has filters %v, want %d", list, want)
		}
	}
	if o := m.apply(t); o.Answers != nil {
		t.Fatal(o.Answers)
	}
	filters(1)
	if got := sysctl(t, "ipv4/conf/lo/rp_filter"); got != "2" {
		t.Errorf("lo checks sources strictly (%s), and would drop answers", got)
	}
	m.changed()
	m.Host = New(m.paths, m.Host.log)
	m.apply(t)
	filters(1)
	if log := m.changed(); log != "" {
		t.Errorf("a new agent changed something:\n%s", log)
	}
	m.file.Pools[0].Ranges = ranges(range1, "172.31.28.64-172.31.28.77")
	m.apply(t)
	filters(1)
	if log := m.changed(); log == "" {
		t.Error("a new range changed nothing")
	}
	m.file.Networks[0].HostLeg = nodefile.HostLeg{}
	m.apply(t)
	filters(0)
	m.file.Networks[0].HostLeg.Enabled = true
	m.apply(t)
	filters(1)
	d, err := datapath.Open(datapath.Options{Folder: m.paths.Store})
	must(t, err)
	defer d.Close()
	must(t, d.ForgetAnswers())
	filters(0)
	must(t, d.ForgetAnswers()) // again
}

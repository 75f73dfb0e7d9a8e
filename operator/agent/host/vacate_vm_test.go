// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
)

// traces of ours on the machine: files, nftables tables and filters.
func (m *machine) traces(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, folder := range []string{m.paths.CNIBin, m.paths.CNIConf, m.paths.Store, filepath.Dir(m.paths.NodeFile)} {
		entries, err := os.ReadDir(folder)
		must(t, err)
		for _, e := range entries {
			if !e.IsDir() || folder == m.paths.Store {
				found = append(found, e.Name())
			}
		}
	}
	c, err := nftables.New()
	must(t, err)
	tables, err := c.ListTables()
	must(t, err)
	for _, table := range tables {
		found = append(found, "table "+table.Name)
	}
	eth1, err := netlink.LinkByName("eth1")
	must(t, err)
	queues, err := netlink.QdiscList(eth1)
	must(t, err)
	for _, q := range queues {
		if q.Type() == "clsact" {
			found = append(found, "queue clsact")
		}
	}
	filters, err := netlink.FilterList(eth1, netlink.HANDLE_MIN_EGRESS)
	must(t, err)
	for _, f := range filters {
		found = append(found, fmt.Sprintf("filter %d", f.Attrs().Priority))
	}
	slices.Sort(found)
	return found
}

func (m *machine) vacate(t *testing.T) Observation {
	t.Helper()
	o, err := m.Vacate(t.Context())
	must(t, err)
	return o
}

// TestVacate leaves a machine as it was, and not before its last pod is gone.
func TestVacate(t *testing.T) {
	m := newMachine(t)
	m.file.Networks[0].Default = true
	m.file.Networks[0].MetadataService.Mode = "Block"
	must(t, os.MkdirAll(m.paths.CNIConf, 0o755))
	must(t, os.MkdirAll(m.paths.CNIBin, 0o755))
	must(t, os.MkdirAll(m.paths.Store, 0o755))
	d, err := datapath.Open(datapath.Options{Folder: m.paths.Store})
	must(t, err)
	must(t, d.Vacate()) // what other tests left
	d.Close()
	if !m.vacate(t).Vacant {
		t.Error("a bare machine is not vacant")
	}
	before := m.traces(t)

	m.apply(t)
	p := m.addPod(t)
	during := m.traces(t)
	if o := m.vacate(t); o.Vacant {
		t.Error("vacant though a pod holds an address")
	}
	if diff := cmp.Diff(during, m.traces(t)); diff != "" {
		t.Errorf("taken from a pod (-before +after):\n%s", diff)
	}
	must(t, p.del())
	m.changed()
	if !m.vacate(t).Vacant {
		t.Error("not vacant when the last pod is gone")
	}
	if diff := cmp.Diff(before, m.traces(t)); diff != "" {
		t.Errorf("left on the machine (-before +after):\n%s", diff)
	}
	if !strings.Contains(m.changed(), "removed the CNI from the machine") || !m.vacate(t).Vacant || m.changed() != "" {
		t.Error("it is told once")
	}
	must(t, m.Collect(t.Context()))
	if diff := cmp.Diff(before, m.traces(t)); diff != "" {
		t.Errorf("made again by garbage collection (-before +after):\n%s", diff)
	}

	m.apply(t)
	must(t, m.addPod(t).del()) // and back
}

// TestVacateLeavesOthers alone: their filters on our interface, tables and configurations, and what those need.
func TestVacateLeavesOthers(t *testing.T) {
	m := newMachine(t)
	m.file.Networks[0].MetadataService.Mode = "Block"
	m.apply(t)
	must(t, m.addPod(t).del())
	c, err := nftables.New()
	must(t, err)
	table := c.AddTable(&nftables.Table{Name: "theirs", Family: nftables.TableFamilyINet})
	must(t, c.Flush())
	t.Cleanup(func() { c.DelTable(table); must(t, c.Flush()) })
	must(t, netlink.FilterAdd(&netlink.MatchAll{FilterAttrs: netlink.FilterAttrs{
		LinkIndex: link(t, "eth1").Index, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 5, Protocol: unix.ETH_P_ALL,
	}, Actions: []netlink.Action{&netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_OK}}}}))
	must(t, os.MkdirAll(m.paths.CNIConf, 0o755))
	for _, file := range []string{m.paths.CNIConf + "/10-theirs.conflist", m.paths.CNIBin + "/bridge"} {
		must(t, os.WriteFile(file, []byte("{}"), 0o600))
	}
	if !m.vacate(t).Vacant {
		t.Error("not vacant")
	}
	got := strings.Join(m.traces(t), "\n")
	for _, theirs := range []string{"10-theirs.conflist", "bridge", "portmap", "loopback", "table theirs", "queue clsact", "filter 5"} {
		if !strings.Contains(got, theirs) {
			t.Errorf("%s is gone:\n%s", theirs, got)
		}
	}
	for _, ours := range []string{"underlay", "store.db", "lock", "node.json", "filter 117", "filter 118"} {
		if strings.Contains(got, ours) {
			t.Errorf("%s is left:\n%s", ours, got)
		}
	}
}

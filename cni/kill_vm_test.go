// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// process starts a verb as a process on the node; out gets what it prints.
func (p *pod) process(ctx context.Context, verb string, out io.Writer) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{
		nodeFileVariable + "=" + p.node.plugin.NodeFile, folderVariable + "=" + p.node.plugin.Folder,
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + p.args.ContainerID, "CNI_NETNS=" + p.args.Netns, "CNI_IFNAME=" + p.args.IfName,
		"CNI_ARGS=" + p.args.Args, "CNI_PATH=/nonexistent",
	}
	cmd.Stdin, cmd.Stdout = bytes.NewReader(p.args.StdinData), out
	return cmd, p.node.Do(cmd.Start)
}

// TestProcess runs the verbs as a runtime does.
func TestProcess(t *testing.T) {
	w := newWorld(t)
	p := w.addNode(t, "master", primary("a"), master()).newPod(t, "ens6")
	for _, verb := range []string{"ADD", "DEL", "STATUS", "GC"} {
		start := time.Now()
		cmd, err := p.process(t.Context(), verb, nil)
		must(t, err)
		must(t, cmd.Wait())
		t.Logf("%s took %s", verb, time.Since(start))
	}
	p.args.Netns = p.node.Path()
	for verb, succeeds := range map[string]bool{"ADD": false, "DEL": true} {
		cmd, err := p.process(t.Context(), verb, nil)
		must(t, err)
		if err := cmd.Wait(); (err == nil) != succeeds {
			t.Errorf("%s in the node's own namespace: %v", verb, err)
		}
	}
	wantLinks(t, p.node.Namespace, "ens5", "ens6")
}

// TestKill ends 200 ADDs and DELs by kill -9 at random moments, eight at a time. At no time has a link an address that the store does not hold; a last
// DEL of each leaves nothing.
func TestKill(t *testing.T) {
	const kills, workers = 200, 8
	w := newWorld(t)
	c := master()
	c.v4 = "172.31.20.0/24"
	n := w.addNode(t, "master", primary("a"), c)
	duration := map[string]time.Duration{}
	sample := n.newPod(t, "ens6")
	for _, verb := range []string{"ADD", "DEL"} {
		start := time.Now()
		cmd, err := sample.process(t.Context(), verb, nil)
		must(t, err)
		must(t, cmd.Wait())
		duration[verb] = time.Since(start) * 3 // others run at the same time
	}
	pods := make([]*pod, kills/2)
	for i := range pods {
		pods[i] = n.newPod(t, "ens6")
	}
	var killed atomic.Int64
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := worker; i < len(pods); i += workers {
				for _, verb := range []string{"ADD", "DEL"} {
					cmd, err := pods[i].process(t.Context(), verb, nil)
					if err != nil {
						t.Error(err)
						return
					}
					timer := time.AfterFunc(rand.N(duration[verb]), func() { _ = cmd.Process.Kill() })
					if cmd.Wait() != nil {
						killed.Add(1)
					}
					timer.Stop()
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d of %d processes did not live to their end; ADD takes %s, DEL %s", killed.Load(), kills, duration["ADD"]/3, duration["DEL"]/3)
	if killed.Load() < kills/4 {
		t.Errorf("only %d of %d were killed in time", killed.Load(), kills)
	}
	wantHeld(t, n)
	for _, p := range pods {
		must(t, p.del())
	}
	n.wantStore(t, 0)
	wantLinks(t, n.Namespace, "ens5", "ens6")
	for _, p := range pods {
		wantLinks(t, p.Namespace)
	}
	n.addPod(t, "ens6")
}

// wantHeld expects each address that a link has to be held by the store.
func wantHeld(t *testing.T, n *node) {
	t.Helper()
	found, err := datapath.FoundAddresses()
	must(t, err)
	n.store(t, func(s *ipam.Store) {
		records, err := s.List()
		must(t, err)
		var held []netip.Addr
		for _, r := range records {
			held = append(held, r.Addresses()...)
		}
		for _, f := range found {
			mine := iprange.Contains(n.file.Pools[0].Ranges, f.Address) || iprange.Contains(n.file.Pools[1].Ranges, f.Address)
			if mine && !slices.Contains(held, f.Address) {
				t.Errorf("%s is on link %s of %s, and nobody holds it", f.Address, f.Name, f.Namespace)
			}
		}
		t.Logf("%d records and %d addresses on links were left", len(records), len(found))
	})
}

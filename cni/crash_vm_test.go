// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

var killsFlag = flag.Int("kills", 0, "how many ADDs and DELs each of TestKill and TestCrash ends by kill -9; 0 for some hundreds")

// kills is how many verbs a test ends by kill -9: as many as the flag says, else its own number.
func kills(usual int) int {
	if *killsFlag > 0 {
		return *killsFlag
	}
	return usual
}

// TestCrash ends ADDs and DELs by kill -9 at random moments: three processes with six sandboxes each, of both families or one, add and delete each of
// them again and again, and one after the other is killed with all that it has in flight, and begun anew. A sandbox gets either verb next, as from a
// runtime that forgot where it was. At no time has a link an address that the store does not hold for that very sandbox, or that another link has too.
// A last DEL of each leaves nothing. (TestKill has one verb in a process, from its first instruction on; here most moments are those of the work itself.)
func TestCrash(t *testing.T) {
	const slots, each = 3, 6
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), card{"ens6", "a", "172.31.28.16/28", "2406:da1e:c4:ed01:c57d::/80"},
		card{"ens8", "a", "172.31.28.48/28", ""}, card{"ens9", "a", "", "2406:da1e:c4:ed01:c57f::/80"})
	n.file.Networks[1].MetadataService.Mode = "Block"
	n.write(t)
	networks := []string{"ens6", "ens8", "ens9"}
	pods := make([]*pod, slots*each)
	for i := range pods {
		pods[i] = n.newPod(t, networks[i%len(networks)])
		if i%2 == 0 {
			pods[i].limited(t, 1_000_000_000, 1_000_000_000)
		}
	}
	for _, p := range pods[:len(networks)] { // the node's rules, and filters that lead to those of pods, are made once
		must(t, p.add(t))
		must(t, p.del())
	}
	before := n.leftovers(t)
	c := &crash{node: n, pods: pods}
	var group sync.WaitGroup
	for slot := range slots {
		group.Go(func() {
			for rounds := 0; c.goOn(kills(600)); rounds++ {
				if err := c.round(t.Context(), pods[slot*each:(slot+1)*each]); err != nil {
					c.fail(err)
					return
				}
				if slot == 0 && rounds%4 == 0 {
					c.look(t)
				}
			}
		})
	}
	group.Wait()
	c.look(t)
	c.report(t)
	t.Logf("%d verbs were interrupted in %d killed processes, %d ended before", c.interrupted, c.killed, c.ended)
	for _, p := range pods {
		must(t, p.del())
		wantLinks(t, p.Namespace)
		wantNoRules(t, p)
	}
	n.wantStore(t, 0)
	if diff := cmp.Diff(before, n.leftovers(t)); diff != "" {
		t.Errorf("what is left on the node (-before +after):\n%s", diff)
	}
	n.store(t, func(s *ipam.Store) {
		usage, err := s.Usage(&n.file)
		must(t, err)
		for _, u := range usage.Pools {
			if u.Free != u.Size {
				t.Errorf("%s: not all is free again", u)
			}
		}
	})
	for _, p := range pods {
		must(t, p.add(t))
		must(t, p.check(t))
	}
}

// crash is what TestCrash knows; its methods may be called at the same time.
type crash struct {
	node *node
	pods []*pod

	mu                         sync.Mutex
	interrupted, killed, ended int
	failures                   []string
}

func (c *crash) goOn(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted < limit && len(c.failures) == 0
}

// report fails the test with what was found.
func (c *crash) report(t *testing.T) {
	t.Helper()
	for _, failure := range c.failures {
		t.Error(failure)
	}
}

func (c *crash) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, err.Error())
}

// round starts a process, kills it some time after its first verb has begun, and counts what it had in flight.
func (c *crash) round(ctx context.Context, pods []*pod) error {
	const longest = 1500 * time.Millisecond // several verbs, where all processes are at work on a slow machine
	var list []*cni.Call
	for _, p := range pods {
		list = append(list, p.args)
	}
	in, err := json.Marshal(list)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{nodeFileVariable + "=" + c.node.plugin.NodeFile, folderVariable + "=" + c.node.plugin.Folder, churnVariable + "=1"}
	cmd.Stdin = bytes.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.node.Do(cmd.Start); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		return fmt.Errorf("it said %q: %w: %s", first, err, complaint.String())
	}
	time.AfterFunc(rand.N(longest), func() { _ = cmd.Process.Kill() })
	flying, ended, failures := map[string]bool{}, 0, []string(nil)
	for line := first; err == nil; line, err = lines.ReadString('\n') {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		sandbox, reason, _ := strings.Cut(rest, " ")
		flying[sandbox] = word == "began"
		switch word {
		case "ended":
			ended++
		case "failed":
			failures = append(failures, reason)
		}
	}
	if cmd.Wait() == nil || complaint.Len() > 0 {
		return fmt.Errorf("it ended by itself: %s", complaint.String())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, flies := range flying {
		if flies {
			c.interrupted++
		}
	}
	c.killed++
	c.ended += ended
	c.failures = append(c.failures, failures...)
	return nil
}

// look compares links and store while the store is locked: nothing is released meanwhile, and nothing that has no link yet can get one unnoticed.
func (c *crash) look(t *testing.T) {
	t.Helper()
	s, err := ipam.Open(t.Context(), ipam.Options{Folder: c.node.plugin.Folder, Found: func() ([]ipam.Found, error) { return nil, nil }})
	if err != nil {
		c.fail(err)
		return
	}
	problems, checkErr := s.Check()
	records, listErr := s.List()
	found, findErr := datapath.FoundAddresses()
	for _, err := range []error{checkErr, listErr, findErr, s.Close()} {
		if err != nil {
			c.fail(err)
		}
	}
	for _, p := range problems {
		c.fail(fmt.Errorf("the checker finds: %s", p))
	}
	aside, err := filepath.Glob(filepath.Join(c.node.plugin.Folder, "*.bad-*"))
	if err == nil && len(aside) > 0 {
		err = fmt.Errorf("the store was set aside: %v", aside)
	}
	if err != nil {
		c.fail(err)
	}
	holder := map[netip.Addr]string{}
	for _, r := range records {
		for _, a := range r.Addresses() {
			holder[a] = r.Netns.Path
		}
	}
	seen := map[netip.Addr]string{}
	for _, f := range found {
		if other, ok := seen[f.Address]; ok {
			c.fail(fmt.Errorf("%s is on links of %s and of %s", f.Address, other, f.Namespace))
		}
		seen[f.Address] = f.Namespace
		if holder[f.Address] != f.Namespace {
			c.fail(fmt.Errorf("%s is on link %s of %s, and held for %q", f.Address, f.Name, f.Namespace, holder[f.Address]))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("after %d verbs that were interrupted, %d records and %d addresses on links are as they should be, unless an error says otherwise", c.interrupted, len(records), len(found))
}

// wantNoRules expects the rules that each namespace has from the start, and no others.
func wantNoRules(t *testing.T, p *pod) {
	t.Helper()
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := handle(t, p.Namespace).RuleList(family)
		must(t, err)
		for _, r := range rules {
			if r.Priority > 0 && r.Priority < 32766 {
				t.Errorf("%s has the rule %s", p.args.ContainerID, r)
			}
		}
	}
}

// leftovers lists what pods may leave on the node: links, routes, neighbours, filters, nftables rules.
func (n *node) leftovers(t *testing.T) []string {
	t.Helper()
	links := n.handle(t)
	list, err := links.LinkList()
	must(t, err)
	var all []string
	for _, l := range list {
		all = append(all, "link "+l.Attrs().Name)
		filters, err := links.FilterList(l, netlink.HANDLE_MIN_EGRESS)
		must(t, err)
		for _, f := range filters {
			all = append(all, fmt.Sprintf("filter %d of %s", f.Attrs().Handle, l.Attrs().Name))
		}
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := links.RouteList(nil, family)
		must(t, err)
		for _, r := range routes {
			all = append(all, fmt.Sprintf("route %s", r.Dst))
		}
		neighbours, err := links.NeighList(0, family)
		must(t, err)
		for _, x := range neighbours {
			if x.State == netlink.NUD_PERMANENT {
				all = append(all, fmt.Sprintf("neighbour %s", x.IP))
			}
		}
	}
	must(t, n.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		chains, err := c.ListChains()
		if err != nil {
			return err
		}
		for _, chain := range chains {
			rules, err := c.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			all = append(all, fmt.Sprintf("%d rules of %s", len(rules), chain.Name))
		}
		return nil
	}))
	slices.Sort(all)
	return all
}

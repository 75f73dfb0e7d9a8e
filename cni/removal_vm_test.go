// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// TestAddressesGoLast looks at DEL where it is about to release addresses, while the kernel is not done with the links yet: none of them may be there.
func TestAddressesGoLast(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].MetadataService.Mode = nodefile.MetadataBlock
	n.write(t)
	const rounds = 20
	for range rounds {
		p := n.newPod(t, "ens6")
		p.limited(t, 1_000_000_000, 1_000_000_000)
		must(t, p.add(t))
		looked := false
		n.plugin.After = func(step string) error {
			if step == cni.StepRemove {
				looked = true
				wantLinks(t, p.Namespace)
				wantLinks(t, n.Namespace, "ens5", "ens6")
				wantFilters(t, n, "ens6", 0)
				n.wantStore(t, 1)
			}
			return nil
		}
		must(t, p.del())
		n.plugin.After = nil
		n.wantStore(t, 0)
		if !looked {
			t.Fatalf("DEL has no step %q", cni.StepRemove)
		}
	}
}

// TestDeletedTwiceAtOnce has DEL come again while the first one is at work, as runtimes do after a timeout.
func TestDeletedTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	const rounds = 10
	for range rounds {
		p := n.addPod(t, "ens6")
		var calls sync.WaitGroup
		errs := make([]error, 3)
		for i := range errs {
			calls.Go(func() { errs[i] = p.del() })
		}
		calls.Wait()
		for _, err := range errs {
			must(t, err)
		}
		wantLinks(t, p.Namespace)
		wantLinks(t, n.Namespace, "ens5", "ens6")
		n.wantStore(t, 0)
	}
}

// TestLateDelOfAnother: a store that was made anew knows addresses by the paths of their namespaces alone. DEL of an earlier sandbox at a path takes nothing
// from the one that lives there; its own DEL does.
func TestLateDelOfAnother(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	p := n.addPod(t, "ens6")
	must(t, os.Remove(filepath.Join(n.plugin.Folder, "store.db")))
	late, args := *p, *p.args
	args.ContainerID = "earlier"
	late.args = &args
	held := func() bool {
		holds := false
		n.store(t, func(s *ipam.Store) {
			list, err := s.List()
			must(t, err)
			holds = slices.ContainsFunc(list, func(r ipam.Record) bool { return slices.Contains(r.Addresses(), p.v4) })
		})
		return holds
	}
	must(t, late.del())
	if !held() {
		t.Errorf("address %s is free, and eth0 of a live namespace has it", p.v4)
	}
	must(t, p.del())
	wantLinks(t, p.Namespace)
	if held() {
		t.Errorf("address %s is held after DEL", p.v4)
	}
}

// TestDeletedDuringAdd has DEL come while ADD is at work, behind each of its steps from the interface on: nothing is left of either. (Of a DEL that comes
// between addresses and interface ADD hears nothing. Runtimes end ADD before they call DEL.)
func TestDeletedDuringAdd(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].MetadataService.Mode = nodefile.MetadataBlock
	n.write(t)
	var steps []string
	n.plugin.After = func(step string) error {
		steps = append(steps, step)
		return nil
	}
	must(t, n.addPod(t, "ens6").del())
	before := n.leftovers(t)
	for _, at := range steps[slices.Index(steps, datapath.StepInterface):slices.Index(steps, cni.StepRemove)] {
		t.Run(at, func(t *testing.T) {
			p := n.newPod(t, "ens6")
			once := false
			n.plugin.After = func(step string) error {
				if step != at || once {
					return nil
				}
				once = true
				deleted := make(chan error)
				go func() { deleted <- p.del() }() // on a thread of its own: this one may be in the pod's namespace
				return <-deleted
			}
			err := p.add(t)
			n.plugin.After = nil
			if done := slices.Contains([]string{datapath.StepNodeRoutes, cni.StepAnswer}, at); done != (err == nil) {
				t.Errorf("ADD: %v", err)
			}
			wantLinks(t, p.Namespace)
			wantNoRules(t, p)
			n.wantStore(t, 0)
			if diff := cmp.Diff(before, n.leftovers(t)); diff != "" {
				t.Errorf("what is left on the node (-before +after):\n%s", diff)
			}
		})
	}
}

// TestAddAndDelAtOnce has both come for one sandbox at the same time, again and again: a last DEL leaves nothing. (A rule may
// stay in the pod's namespace where two ADDs and a DEL come at once, for a table that is empty: no later call could tell it from that of an ADD which is
// at work.)
func TestAddAndDelAtOnce(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].MetadataService.Mode = nodefile.MetadataBlock
	n.write(t)
	stays, p := n.addPod(t, "ens6"), n.newPod(t, "ens6")
	before := n.leftovers(t)
	for range 12 {
		var both sync.WaitGroup
		for _, verb := range []func(*cni.Plugin, *cni.Call) error{(*cni.Plugin).Add, (*cni.Plugin).Del, (*cni.Plugin).Add} {
			both.Go(func() { _, _ = p.call(verb) }) // each may fail by the other
		}
		both.Wait()
		must(t, p.del())
		wantLinks(t, p.Namespace)
		n.wantStore(t, 1)
		if diff := cmp.Diff(before, n.leftovers(t)); diff != "" {
			t.Fatalf("what is left on the node (-before +after):\n%s", diff)
		}
	}
	must(t, stays.check(t))
}

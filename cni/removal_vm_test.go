// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"sync"
	"testing"

	"github.com/underlay-dev/kubectl-underlay/cni"
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

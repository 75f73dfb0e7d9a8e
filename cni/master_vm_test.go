// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
)

// reattach gives the node an ENI again that was detached, as another link with the same MAC: it is down, and has no addresses.
func (w *world) reattach(t *testing.T, n *node, name, subnet string) {
	t.Helper()
	eni := fabric.ENI{Name: "eni-" + n.name + "-" + name, Subnet: subnet}
	for _, p := range n.file.Pools {
		if p.Network != name {
			continue
		}
		var err error
		eni.MAC, err = net.ParseMAC(p.Interface.MAC)
		must(t, err)
		for _, r := range p.Ranges {
			eni.Bound = append(eni.Bound, netip.MustParsePrefix(r.String()))
		}
	}
	must(t, w.Attach(eni, n.Namespace, name))
}

// TestMasterGoesAndComes takes the node's interface away under its pods, and gives it back.
func TestMasterGoesAndComes(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), card{"ens8", "a", "172.31.28.48/28", ""}, card{"ens9", "a", "", "2406:da1e:c4:ed01:c57f::/80"})
	for i := range n.file.Networks {
		n.file.Networks[i].MetadataService.Mode = nodefile.MetadataBlock
	}
	n.write(t)
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	for name, network := range map[string]string{"dual": "ens6", "IPv4 only": "ens8", "IPv6 only": "ens9"} {
		t.Run(name, func(t *testing.T) {
			clean := n.leftovers(t)
			leaving, staying, repeated := n.addPod(t, network), n.addPod(t, network), n.addPod(t, network)
			for _, p := range []*pod{leaving, staying, repeated} {
				p.limited(t, 1_000_000_000, 1_000_000_000)
				must(t, p.add(t))
				must(t, p.check(t))
			}
			must(t, w.Detach("eni-master-"+network))
			wantCode(t, staying.check(t), cni.CodeInterface, "is not on this machine: it was detached")
			n.wantRefused(t, network, types.ErrTryAgainLater, "is not on this machine")
			must(t, leaving.del())
			wantLinks(t, leaving.Namespace)
			wantNoRules(t, leaving)
			n.wantStore(t, 2)

			w.reattach(t, n, network, "a")
			wantCode(t, staying.check(t), cni.CodeDamaged, "eth0 is missing")
			fresh := n.addPod(t, network) // which brings the interface up
			must(t, fresh.check(t))
			w.wantPings(t, remote.end(), fresh.end(), small)
			first := repeated.addresses()
			must(t, repeated.add(t))
			must(t, repeated.check(t))
			w.wantPings(t, remote.end(), repeated.end(), small)
			if !slices.Equal(first, repeated.addresses()) {
				t.Errorf("ADD gave %v again as %v", first, repeated.addresses())
			}
			for _, p := range []*pod{staying, fresh, repeated} {
				must(t, p.del())
				wantLinks(t, p.Namespace)
				wantNoRules(t, p)
			}
			n.wantStore(t, 0)
			wantFilters(t, n, network, 0)
			// The new link has the point of filters, and routes of its own, that the old one had.
			pods := func(s string) bool { return !strings.HasPrefix(s, "link ulay") && !strings.HasPrefix(s, "neighbour") }
			if after := n.leftovers(t); slices.ContainsFunc(after, func(s string) bool { return !slices.Contains(clean, s) && !pods(s) }) {
				t.Errorf("left: %v", after)
			}
		})
	}
}

// TestMasterChanges sets the node's interface down and up, and renames it, under pods that live on.
func TestMasterChanges(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].Default = true
	n.write(t)
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	links := n.handle(t)
	card, err := links.LinkByName("ens6")
	must(t, err)
	p := n.addPod(t, "ens6")
	works := func(t *testing.T) {
		t.Helper()
		must(t, p.check(t))
		w.wantPings(t, remote.end(), p.end(), small)
		w.wantPings(t, n.end(), p.end(), small)
		fresh := n.addPod(t, "ens6")
		must(t, fresh.check(t))
		w.wantPings(t, fresh.end(), p.end(), small)
		must(t, fresh.del())
	}
	t.Run("down and up", func(t *testing.T) {
		must(t, links.LinkSetDown(card))
		wantCode(t, p.check(t), cni.CodeDamaged, "ens6 is down")
		must(t, links.LinkSetUp(card))
		works(t)
	})
	t.Run("down, until the next ADD", func(t *testing.T) {
		must(t, links.LinkSetDown(card))
		works2 := n.addPod(t, "ens6")
		must(t, works2.del())
		works(t)
	})
	t.Run("renamed", func(t *testing.T) {
		must(t, links.LinkSetDown(card))
		must(t, links.LinkSetName(card, "enp7s0"))
		must(t, links.LinkSetUp(card))
		works(t)
		must(t, n.status("ens6"))
	})
	t.Run("another link has its old name", func(t *testing.T) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "ens6"
		other := &netlink.Dummy{LinkAttrs: attrs}
		must(t, links.LinkAdd(other))
		works(t)
		must(t, links.LinkDel(other))
	})
	t.Run("another link has its MAC too", func(t *testing.T) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.HardwareAddr = "ens66", card.Attrs().HardwareAddr
		clone := &netlink.Veth{LinkAttrs: attrs, PeerName: "ens67"} // one that could carry pods, as a dummy could not
		must(t, links.LinkAdd(clone))
		works(t)                                                         // the one that carries pods is known since boot
		must(t, os.RemoveAll(filepath.Join(n.plugin.Folder, "masters"))) // after a boot neither is
		const twice = "interface 02:00:00:00:11:01 is there twice, as enp7s0 and ens66: one of them must get another MAC"
		n.wantRefused(t, "ens6", types.ErrTryAgainLater, "eni-master-ens6: "+twice)
		wantCode(t, n.status("ens6"), types.ErrPluginNotAvailable, twice)
		wantCode(t, p.check(t), cni.CodeInterface, twice)
		must(t, links.LinkDel(clone))
		must(t, n.status("ens6"))
		works(t)
	})
	must(t, p.del())
	n.wantStore(t, 0)
	wantLinks(t, n.Namespace, "ens5", "enp7s0")
}

// TestFirstPods lets a pod come while another one is the first on the node's interface since boot: it waits until all that they share is there. Later ones
// wait for nobody.
func TestFirstPods(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	must(t, os.MkdirAll(n.plugin.Folder, 0o700))
	folder, err := os.Open(n.plugin.Folder)
	must(t, err)
	defer folder.Close()
	must(t, unix.Flock(int(folder.Fd()), unix.LOCK_EX))
	prepared := make(chan struct{}, 8)
	n.plugin.After = func(step string) error {
		if step == datapath.StepMaster {
			prepared <- struct{}{}
		}
		return nil
	}
	early, added := n.newPod(t, "ens6"), make(chan error, 1)
	go func() { added <- early.add(t) }()
	select {
	case <-prepared:
		t.Error("it did not wait for the one that prepares the interface")
	case err := <-added:
		t.Fatalf("it ended ahead of the one that prepares the interface: %v", err)
	case <-time.After(time.Second):
	}
	must(t, unix.Flock(int(folder.Fd()), unix.LOCK_UN))
	must(t, <-added)
	must(t, early.check(t))
	must(t, unix.Flock(int(folder.Fd()), unix.LOCK_EX))
	must(t, n.addPod(t, "ens6").check(t))
}

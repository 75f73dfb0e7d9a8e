// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// sandbox is the pod under another container id, in the same namespace.
func (p *pod) sandbox(id string) *pod {
	next, args := *p, *p.args
	args.ContainerID = id
	next.args = &args
	return &next
}

// TestManyInARow sends hundreds of pods, some at a time, through 16 addresses that rest after each. None comes back before it has rested, the one that was
// released first comes back first, and a pool that has none says when it will.
func TestManyInARow(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master(), card{"ens9", "a", "", "2406:da1e:c4:ed01:c57f::100/124"})
	for i := range n.file.Networks {
		n.file.Networks[i].HostLeg.Enabled = false // none of this depends on it, and the pods are many
	}
	clock := 0 * time.Second // on top of the kernel's
	n.plugin.Now = func() time.Duration {
		var now unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
		return time.Duration(now.Nano()) + clock
	}
	for _, c := range []struct {
		name, network  string
		pods, cooldown int
	}{{"cooldown of 30 s", "ens6", 500, 30}, {"no cooldown", "ens6", 50, 0}, {"IPv6 only, cooldown of 30 s", "ens9", 60, 30}} {
		t.Run(c.name, func(t *testing.T) {
			const together = 4
			clock += time.Hour // all have rested
			for i := range n.file.Networks {
				n.file.Networks[i].CooldownSeconds = c.cooldown
			}
			n.write(t)
			address := func(p *pod) netip.Addr {
				if p.v4.IsValid() {
					return p.v4
				}
				return p.v6
			}
			var places, live []*pod
			for range together {
				places = append(places, n.newPod(t, c.network))
			}
			released := map[netip.Addr]time.Duration{} // when, by the clock
			var queue []netip.Addr                     // in the order of their release
			remove := func(p *pod) {
				must(t, p.del())
				released[address(p)] = n.plugin.Now()
				queue = append(queue, address(p))
			}
			for i := range c.pods {
				if len(live) == together {
					remove(live[0])
					live = live[1:]
				}
				clock += 3 * time.Second // 12 of 16 addresses rest, for 36 s
				p := places[i%together].sandbox(fmt.Sprintf("%s-%d-%d", c.network, c.cooldown, i))
				must(t, p.add(t))
				a := address(p)
				if at, ok := released[a]; ok {
					if rested := n.plugin.Now() - at; rested < time.Duration(c.cooldown)*time.Second {
						t.Fatalf("pod %d got %s after %s", i, a, rested)
					}
					if a != queue[0] {
						t.Fatalf("pod %d got %s, and %s was released first", i, a, queue[0])
					}
					queue = queue[1:]
				}
				if slices.ContainsFunc(live, func(other *pod) bool { return address(other) == a }) {
					t.Fatalf("pod %d got %s, which another pod has", i, a)
				}
				live = append(live, p)
			}
			if len(released) != 16 {
				t.Errorf("%d addresses were used, want all 16", len(released))
			}
			for _, p := range live {
				remove(p)
			}
			n.wantStore(t, 0)
		})
	}
	t.Run("exhausted, then not", func(t *testing.T) {
		clock += time.Hour
		n.file.Networks[1].CooldownSeconds = 30
		n.write(t)
		var pods []*pod
		for range 16 {
			pods = append(pods, n.addPod(t, "ens6"))
		}
		n.wantRefused(t, "ens6", types.ErrTryAgainLater, n.file.Pools[0].Name+" (eni-master-ens6): 16 addresses, 16 held")
		first := pods[0].v4
		must(t, pods[0].del())
		n.wantRefused(t, "ens6", types.ErrTryAgainLater, "15 held, 1 cooling; the next address has rested in")
		must(t, n.status("ens6"))
		clock += 31 * time.Second
		again := n.addPod(t, "ens6")
		if again.v4 != first {
			t.Errorf("got %s, and %s alone was free", again.v4, first)
		}
		must(t, again.check(t))
		for _, p := range append(pods[1:], again) {
			must(t, p.del())
		}
		n.wantStore(t, 0)
	})
}

// setClock sets the machine's clock, and returns how to set it right.
func setClock(t *testing.T, to time.Time) (right func()) {
	t.Helper()
	was, since := time.Now(), bootTime(t)
	set := func(to time.Time) {
		ts := unix.NsecToTimespec(to.UnixNano())
		must(t, unix.ClockSettime(unix.CLOCK_REALTIME, &ts))
	}
	set(to)
	return func() { set(was.Add(bootTime(t) - since)) }
}

func bootTime(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts))
	return time.Duration(ts.Nano())
}

// TestClockJumps sets the clock of the machine forwards and backwards, as NTP does on a node whose battery is empty. An address rests for as long as ever,
// and no record gets too old or too young.
func TestClockJumps(t *testing.T) {
	w := newWorld(t)
	n := w.addNode(t, "master", primary("a"), master())
	n.file.Networks[1].RequestedIPs = nodefile.RequestedIPsAllow
	waited := 0 * time.Second // on top of the kernel's
	n.plugin.Now = func() time.Duration { return bootTime(t) + waited }
	ask := func(a netip.Addr) *pod {
		p := n.newPod(t, "ens6")
		p.with(t, "runtimeConfig", map[string]any{"ips": []string{a.String()}})
		return p
	}
	for _, c := range []struct {
		name string
		to   time.Time
	}{
		{"a year forwards", time.Now().AddDate(1, 0, 0)},
		{"a day backwards", time.Now().AddDate(0, 0, -1)},
		{"to 1970", time.Unix(24*60*60, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			n.file.Networks[1].CooldownSeconds = 3600
			n.write(t)
			p, dead := n.addPod(t, "ens6"), n.addPod(t, "ens6")
			must(t, p.del())
			dead.vanish(t)
			right := setClock(t, c.to)
			defer right()
			wantCode(t, ask(p.v4).add(t), types.ErrTryAgainLater, "rests for")
			n.collect(t, validList, "ens6")
			n.wantRecords(t, dead) // too young still
			// A short rest ends, although an hour of the clock that jumped may never come.
			n.file.Networks[1].CooldownSeconds = 1
			n.write(t)
			for end := bootTime(t) + time.Minute; ; time.Sleep(100 * time.Millisecond) {
				again := ask(p.v4)
				err := again.add(t)
				if err == nil {
					must(t, again.check(t))
					must(t, again.del())
					break
				}
				if bootTime(t) > end {
					t.Fatalf("%s still rests: %v", p.v4, err)
				}
			}
			waited += 2 * time.Minute // that is old enough, whatever the clock says
			n.collect(t, validList, "ens6")
			n.wantRecords(t)
			n.wantStore(t, 0)
		})
	}
}

// reboot makes the node as it is after a boot: a new namespace with the same interfaces, down and without addresses, and another boot id. What is on disks
// stays: the node file and, as if /run were on one, the store.
func (w *world) reboot(t *testing.T, n *node, cards ...card) {
	t.Helper()
	for _, c := range cards {
		must(t, w.Detach("eni-"+n.name+"-"+c.name))
	}
	must(t, n.Close())
	ns, err := netns.NewNamed("node-" + n.name + "-rebooted")
	must(t, err)
	*n.Namespace = *ns
	for _, sysctl := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.arp_ignore"} {
		must(t, ns.Set(sysctl, "1"))
	}
	for i, c := range cards {
		if i > 0 {
			w.reattach(t, n, c.name, c.subnet)
			continue
		}
		own := fabric.ENI{
			Name: "eni-" + n.name + "-" + c.name, Subnet: c.subnet, MAC: []byte{2, 0, 0, 0, 0x10, 1},
			Bound: []netip.Prefix{netip.PrefixFrom(n.v4, 32), netip.PrefixFrom(n.v6, 128)},
		}
		must(t, w.Attach(own, n.Namespace, c.name))
		n.configure(t, c.name, w.subnets[c.subnet])
	}
	const bootID = "/proc/sys/kernel/random/boot_id"
	other := filepath.Join(t.TempDir(), "boot_id")
	must(t, os.WriteFile(other, []byte("6b1f2c1e-0000-4000-8000-000000000001\n"), 0o444))
	must(t, unix.Mount(other, bootID, "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount(bootID, 0)) })
}

// TestReboot boots a node with all of its addresses held. (The machine that runs this stays: the node is a namespace, and its boot id a file of ours.)
// No agent runs: ADD itself brings up the interface, with its MTU.
func TestReboot(t *testing.T) {
	for name, c := range map[string]card{
		"dual":      {"ens6", "a", "172.31.28.16/30", "2406:da1e:c4:ed01:c57d::100/126"},
		"IPv4 only": {"ens6", "a", "172.31.28.16/30", ""},
		"IPv6 only": {"ens6", "a", "", "2406:da1e:c4:ed01:c57d::100/126"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			n := w.addNode(t, "master", primary("a"), c)
			n.file.Networks[1].Default, n.file.Networks[1].MTU, n.file.Networks[1].CooldownSeconds = true, 8000, 3600
			n.file.Networks[1].MetadataService.Mode = nodefile.MetadataBlock
			n.write(t)
			var old []*pod
			for range 4 {
				old = append(old, n.addPod(t, "ens6"))
			}
			n.wantRefused(t, "ens6", types.ErrTryAgainLater, "4 addresses, 4 held")
			for _, p := range old {
				p.vanish(t)
			}
			w.reboot(t, n, primary("a"), c)
			links := n.handle(t)
			l, err := links.LinkByName("ens6")
			must(t, err)
			must(t, links.LinkSetMTU(l, 1500))
			must(t, os.WriteFile(old[1].args.Netns, nil, 0o444)) // on which a namespace was mounted
			defer os.Remove(old[1].args.Netns)
			old[2].args.Netns = ""

			must(t, n.status("ens6"))
			must(t, old[0].del()) // the runtime finds sandboxes of the boot before
			fresh := []*pod{n.addPod(t, "ens6")}
			for _, p := range old {
				must(t, p.del())
			}
			for range 3 {
				fresh = append(fresh, n.addPod(t, "ens6"))
			}
			n.wantRefused(t, "ens6", types.ErrTryAgainLater, "4 addresses, 4 held")
			n.wantStore(t, 4)
			for _, p := range fresh {
				must(t, p.check(t))
				if mtu := p.result.Interfaces[0].Mtu; mtu != 8000 {
					t.Errorf("the pod's MTU is %d", mtu)
				}
				w.wantPings(t, p.end(), end{name: "outside", v4: fabric.OutsideAddresses()[0], v6: fabric.OutsideAddresses()[1]}, small)
				w.wantPings(t, n.end(), p.end(), small)
			}
			for _, p := range fresh {
				must(t, p.del())
			}
			n.wantStore(t, 0)
			if aside, err := filepath.Glob(filepath.Join(n.plugin.Folder, "*.bad-*")); err != nil || len(aside) > 0 {
				t.Errorf("a store of another boot was kept: %v, %v", aside, err)
			}
			if strings.Contains(n.log.String(), "damaged") {
				t.Errorf("said: %s", n.log)
			}
		})
	}
}

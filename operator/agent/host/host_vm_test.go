// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// TestApply makes a machine fit for pods, and leaves the rest of it alone.
func TestApply(t *testing.T) {
	m := newMachine(t)
	other := netlink.NewLinkAttrs()
	other.Name, other.MTU = "other0", 1400
	must(t, netlink.LinkAdd(&netlink.Dummy{LinkAttrs: other}))
	t.Cleanup(func() { must(t, netlink.LinkDel(&netlink.Dummy{LinkAttrs: other})) })

	o := m.apply(t)
	if !isUp(link(t, "eth1")) || link(t, "eth1").MTU != 9001 {
		t.Errorf("eth1: up %v, MTU %d; want it up with its own MTU", isUp(link(t, "eth1")), link(t, "eth1").MTU)
	}
	if isUp(link(t, "other0")) || link(t, "other0").MTU != 1400 {
		t.Error("a link that carries no pods was touched")
	}
	got := []string{sysctl(t, "ipv4/ip_forward"), sysctl(t, "ipv6/conf/all/forwarding"), sysctl(t, "ipv6/conf/eth1/accept_ra"), sysctl(t, "ipv6/conf/other0/accept_ra")}
	if diff := cmp.Diff([]string{"1", "1", "0", "1"}, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	p := m.addPod(t)
	o = m.apply(t)
	if len(o.Pools) != 2 || o.Pools[0].Held != 1 || o.Pools[1].Held != 1 {
		t.Errorf("pools %v, want one address held of each", o.Pools)
	}
	m.changed()
	before := inode(t, m.paths.NodeFile)
	m.apply(t)
	if log := m.changed(); log != "" || inode(t, m.paths.NodeFile) != before {
		t.Errorf("applied again it changed something:\n%s", log)
	}

	t.Run("a larger MTU", func(t *testing.T) {
		must(t, netlink.LinkSetMTU(&netlink.GenericLink{LinkAttrs: *link(t, "eth1")}, 1500))
		m.file.Networks[0].MTU = 9001
		m.apply(t)
		if mtu := link(t, "eth1").MTU; mtu != 9001 {
			t.Errorf("MTU %d, want 9001", mtu)
		}
		m.file.Networks[0].MTU = 1400
		m.apply(t)
		if mtu := link(t, "eth1").MTU; mtu != 9001 {
			t.Errorf("MTU %d, want 9001 still: the interface may be the host's too", mtu)
		}
	})
	t.Run("settings that others changed", func(t *testing.T) {
		must(t, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0))
		must(t, netlink.LinkSetDown(&netlink.GenericLink{LinkAttrs: *link(t, "eth1")}))
		m.apply(t)
		if sysctl(t, "ipv4/ip_forward") != "1" || !isUp(link(t, "eth1")) {
			t.Error("not mended")
		}
	})
	t.Run("an interface that comes later", func(t *testing.T) {
		changes := m.Watch(t.Context())
		<-changes.Links // of the start
		m.file.Pools = append(m.file.Pools, nodefile.Pool{
			Name: "v4-2", Network: "ens6", Interface: nodefile.Interface{ID: "eni-2", MAC: mac2, DeviceIndex: 2}, Family: nodefile.IPv4,
			Subnet: m.file.Pools[0].Subnet, Gateway: m.file.Pools[0].Gateway, Ranges: ranges("172.31.28.32/28"), Allocation: nodefile.AllocationEnabled,
		})
		o := m.Apply(t.Context(), "master", &m.file)
		if err := o.Failed[PartLinks]; err == nil || !strings.Contains(err.Error(), "interface "+mac2+" is not on this machine") {
			t.Errorf("error %v", err)
		}
		if o.File == nil || len(o.Pools) != 3 {
			t.Error("one missing interface kept the node file from being written")
		}
		for drained := false; !drained; {
			select {
			case <-changes.Links: // of what was done here
			case <-time.After(time.Second):
				drained = true
			}
		}
		m.attach(t, "eth2", mac2, "172.31.28.32/28")
		select {
		case <-changes.Links:
		case <-time.After(time.Minute):
			t.Fatal("nobody noticed")
		}
		m.apply(t)
		if !isUp(link(t, "eth2")) {
			t.Error("it is down")
		}
	})
	must(t, p.del())
}

// TestKeepDefaultRoutes sends router advertisements, whose route the kernel drops when the machine begins to forward.
func TestKeepDefaultRoutes(t *testing.T) {
	for _, c := range []struct {
		name, acceptRA string
		want           string
		stays          bool
	}{
		{"the kernel handles them", "1", "2", true},
		{"they are accepted anyway", "2", "2", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			router := newRouter(t, c.acceptRA)
			router.advertise(t)
			m.apply(t)
			if got := sysctl(t, "ipv6/conf/uplink/accept_ra"); got != c.want {
				t.Errorf("accept_ra %s, want %s", got, c.want)
			}
			if got := router.defaultRoutes(t); (got == 1) != c.stays {
				t.Errorf("%d default routes", got)
			}
		})
	}
	t.Run("without the agent the route is lost", func(t *testing.T) {
		newMachine(t)
		router := newRouter(t, "1")
		router.advertise(t)
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0))
		if router.defaultRoutes(t) != 0 {
			t.Error("the kernel keeps the route: the other cases show nothing")
		}
	})
}

// TestDraining is the protocol by which the operator takes a range away: it is reported as drained when no pod has an address of it, not before.
func TestDraining(t *testing.T) {
	m := newMachine(t)
	old, fresh := netip.MustParsePrefix(range1), netip.MustParsePrefix("172.31.28.64/26")
	must(t, m.fabric.Bind("eni-eth1", fresh))
	m.file.Pools[0].Ranges = ranges(old.String(), fresh.String())
	m.apply(t)
	first := m.addPod(t)
	if !anyIn(m.held(t), iprange.FromPrefix(old)) {
		t.Fatalf("the first pod has %v, want an address of %s", m.held(t), old)
	}
	m.file.Pools[0].Draining, m.file.Pools[0].Generation = ranges(old.String()), 2
	if o := m.apply(t); len(o.Pools[0].Drained) > 0 || o.File.Pools[0].Generation != 2 {
		t.Fatalf("drained %v at generation %d, though a pod holds an address", o.Pools[0].Drained, o.File.Pools[0].Generation)
	}
	second := m.addPod(t)
	if held := m.held(t); !anyIn(held, iprange.FromPrefix(fresh)) {
		t.Errorf("pods have %v, want one of them an address of %s", held, fresh)
	}
	must(t, first.del())
	if o := m.apply(t); len(o.Pools[0].Drained) != 1 || o.Pools[0].Held != 1 {
		t.Fatalf("drained %v, %d held; want %s, and the second pod's", o.Pools[0].Drained, o.Pools[0].Held, old)
	}
	must(t, second.del())
}

// TestDrainingWhileAdding drains the only range while ADDs run: once it was reported as drained, no pod has an address of it, ever.
func TestDrainingWhileAdding(t *testing.T) {
	m := newMachine(t)
	m.file.Pools = m.file.Pools[:1]
	for round := range 4 {
		m.file.Pools[0].Draining = nil
		m.apply(t)
		var pods []*pod
		for range 8 {
			pods = append(pods, m.newPod(t))
		}
		var adding sync.WaitGroup
		for _, p := range pods {
			adding.Go(func() {
				if err := p.add(); err != nil && !strings.Contains(err.Error(), "has no address for this pod") {
					t.Error(err)
				}
			})
		}
		for len(m.held(t)) < round { // so that some come before the drain, and some behind it
			time.Sleep(time.Millisecond)
		}
		m.file.Pools[0].Draining = ranges(range1)
		drained := len(m.apply(t).Pools[0].Drained) == 1
		adding.Wait()
		held := len(m.held(t))
		t.Logf("round %d: reported as drained: %v, addresses held at last: %d", round, drained, held)
		if drained != (held == 0) {
			t.Errorf("reported as drained: %v, and %d addresses of the range are held", drained, held)
		}
		for _, p := range pods {
			must(t, p.del())
		}
		if o := m.apply(t); len(o.Pools[0].Drained) != 1 {
			t.Errorf("not drained after the last DEL: %+v", o.Pools[0])
		}
		if err := m.newPod(t).add(); err == nil {
			t.Error("an address of a drained range was handed out")
		}
	}
}

// TestDefaultLife follows the default CNI configuration from its network's first hour to its last pod's, across restarts of the agent.
func TestDefaultLife(t *testing.T) {
	m := newMachine(t)
	path := filepath.Join(m.paths.CNIConf, ConfigName)
	present := func(want bool) {
		t.Helper()
		if _, err := os.Stat(path); (err == nil) != want {
			t.Fatalf("%s: %v, want it there: %v", ConfigName, err, want)
		}
	}
	m.apply(t)
	present(false)
	m.file.Networks[0].Default = true
	if o := m.apply(t); o.Default != (Default{Wanted: "ens6", Installed: "ens6"}) {
		t.Errorf("%+v", o.Default)
	}
	present(true)
	p := m.addPod(t)

	before := inode(t, path)
	m.Host = New(m.paths, m.Host.log)
	m.apply(t)
	m.Apply(t.Context(), "master", nil) // an agent that cannot reach the API server
	if inode(t, path) != before {
		t.Error("a new agent replaced the configuration")
	}

	m.file.Networks[0].Default = false
	if o := m.apply(t); o.Default.Installed != "ens6" || !strings.Contains(o.Default.Refused, "stays until its last pod") {
		t.Errorf("%+v", o.Default)
	}
	present(true)
	must(t, os.WriteFile(path, []byte("{"), 0o644))
	m.apply(t)
	present(true)

	withoutNetwork := m.file
	withoutNetwork.Networks, withoutNetwork.Pools = nil, nil
	if o := m.Apply(t.Context(), "master", &withoutNetwork); len(o.Failed) > 0 {
		t.Error(o.Failed)
	}
	present(true)
	must(t, p.del())
	if o := m.Apply(t.Context(), "master", &withoutNetwork); o.Default != (Default{}) {
		t.Errorf("%+v", o.Default)
	}
	present(false)
}

// TestOffline is the time in which the API server cannot be asked.
func TestOffline(t *testing.T) {
	t.Run("without a node file", func(t *testing.T) {
		m := newMachine(t)
		o := m.Apply(t.Context(), "master", nil)
		if o.File != nil || len(o.Failed) > 0 {
			t.Errorf("file %v, failed %v", o.File, o.Failed)
		}
		if isUp(link(t, "eth1")) || sysctl(t, "ipv4/ip_forward") != "0" {
			t.Error("it changed the machine for nothing")
		}
	})
	t.Run("with this node's file", func(t *testing.T) {
		m := newMachine(t)
		m.file.Networks[0].Default = true
		must(t, nodefile.Write(m.paths.NodeFile, &m.file))
		before := inode(t, m.paths.NodeFile)
		o := m.Apply(t.Context(), "master", nil)
		if o.File == nil || len(o.Pools) != 2 || o.Default.Installed != "ens6" || len(o.Failed) > 0 {
			t.Errorf("%+v", o)
		}
		if !isUp(link(t, "eth1")) || sysctl(t, "ipv4/ip_forward") != "1" || inode(t, m.paths.NodeFile) != before {
			t.Error("the machine is not what its node file says")
		}
		must(t, m.addPod(t).del())
	})
	for name, content := range map[string]string{"another node's": "", "a damaged one": "{"} {
		t.Run("with "+name+" file", func(t *testing.T) {
			m := newMachine(t)
			if content == "" {
				m.file.Node.Name = "another"
				must(t, nodefile.Write(m.paths.NodeFile, &m.file))
			} else {
				write(t, m.paths.NodeFile, content)
			}
			if o := m.Apply(t.Context(), "master", nil); o.File != nil || isUp(link(t, "eth1")) {
				t.Errorf("it was followed: %+v", o)
			}
			m.file.Node.Name = "master"
			m.apply(t)
			if file, err := nodefile.Read(m.paths.NodeFile); err != nil || file.Node.Name != "master" {
				t.Errorf("the file was not replaced: %v", err)
			}
		})
	}
}

// TestCollect frees what dead sandboxes left, and nothing that lives.
func TestCollect(t *testing.T) {
	m := newMachine(t)
	m.apply(t)
	alive, dead, hidden := m.addPod(t), m.addPod(t), m.addPod(t)
	must(t, dead.Close())
	// A namespace whose path the agent does not see, but which a process keeps.
	keep := hidden.keep(t)
	must(t, hidden.Close())

	must(t, m.Collect(t.Context()))
	if n := len(m.held(t)); n != 6 {
		t.Errorf("%d addresses are held, want 6: all are young", n)
	}
	m.now = later(t, 3*time.Minute)
	must(t, m.Collect(t.Context()))
	if n := len(m.held(t)); n != 4 {
		t.Errorf("%d addresses are held, want 4: one of three sandboxes is dead", n)
	}
	keep()
	must(t, m.Collect(t.Context()))
	if n := len(m.held(t)); n != 2 {
		t.Errorf("%d addresses are held, want 2: two of three sandboxes are dead", n)
	}
	must(t, alive.del())
	for _, l := range listLinks(t) {
		if strings.HasPrefix(l, "ulay") {
			t.Errorf("link %s is left", l)
		}
	}
}

// TestWatchStore hears of pods, and not of the agent's own counting.
func TestWatchStore(t *testing.T) {
	m := newMachine(t)
	m.apply(t)
	changes := m.Watch(t.Context())
	<-changes.Store // of the start
	m.apply(t)
	select {
	case <-changes.Store:
		t.Error("counting is taken for a change: the agent would count for ever")
	case <-time.After(2 * time.Second):
	}
	p := m.addPod(t)
	select {
	case <-changes.Store:
	case <-time.After(time.Minute):
		t.Fatal("nobody noticed an ADD")
	}
	must(t, p.del())
	must(t, os.RemoveAll(m.paths.Store))
	deadline := time.After(time.Minute)
	for found := false; !found; { // signals of the removal, then of the new watch
		select {
		case <-changes.Store:
			_, err := os.Stat(m.paths.Store)
			found = err == nil
		case <-deadline:
			t.Fatal("the folder was removed, and is not watched any more")
		}
	}
}

func TestObstacles(t *testing.T) {
	m := newMachine(t)
	m.apply(t)
	p := m.addPod(t)
	must(t, m.FindObstacles())
	if o := m.apply(t); len(o.Obstacles) > 0 {
		t.Errorf("our own pod is an obstacle: %v", o.Obstacles)
	}
	must(t, p.del())
	elsewhere, err := netns.NewNamed("elsewhere")
	must(t, err)
	defer func() { must(t, elsewhere.Close()) }()
	for _, c := range []struct {
		name string
		link func(a netlink.LinkAttrs) netlink.Link
		says string
	}{
		{"macvlan", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}
		}, "carries macvlan"},
		{"ipvlan l3", func(a netlink.LinkAttrs) netlink.Link {
			return &netlink.IPVlan{LinkAttrs: a, Mode: netlink.IPVLAN_MODE_L3}
		}, "another mode"},
	} {
		for where, namespace := range map[string]*netns.Namespace{"here": nil, "in another namespace": elsewhere} {
			t.Run(c.name+" "+where, func(t *testing.T) {
				attrs := netlink.NewLinkAttrs()
				attrs.Name, attrs.ParentIndex = "stranger", link(t, "eth1").Index
				if namespace != nil {
					attrs.Namespace = netlink.NsFd(namespace.FD())
				}
				l := c.link(attrs)
				must(t, netlink.LinkAdd(l))
				remove := func() error { return netlink.LinkDel(l) }
				if namespace != nil {
					remove = func() error { return namespace.Do(func() error { return deleteLink("stranger") }) }
				}
				must(t, m.FindObstacles())
				o := m.apply(t)
				must(t, remove())
				if obstacle := o.Obstacles[mac1]; obstacle == nil || !strings.Contains(obstacle.Error(), c.says) {
					t.Errorf("obstacles %v, want one that says %q", o.Obstacles, c.says)
				}
			})
		}
	}
	must(t, m.FindObstacles())
	if o := m.apply(t); len(o.Obstacles) > 0 {
		t.Errorf("obstacles that are gone: %v", o.Obstacles)
	}
}

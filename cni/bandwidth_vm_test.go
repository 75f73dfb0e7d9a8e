// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build vm

package cni_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni"
	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/probe"
)

// limited is the pod's configuration with limits in bit/s; the bursts are those that containerd gives.
func (p *pod) limited(t *testing.T, ingress, egress uint64) {
	t.Helper()
	p.with(t, "runtimeConfig", map[string]any{"bandwidth": map[string]uint64{
		"ingressRate": ingress, "ingressBurst": 1<<32 - 1, "egressRate": egress, "egressBurst": 1<<32 - 1,
	}})
}

// with sets a key of the pod's configuration.
func (p *pod) with(t *testing.T, key string, value any) {
	t.Helper()
	c := map[string]any{}
	must(t, json.Unmarshal(p.args.StdinData, &c))
	c[key] = value
	var err error
	p.args.StdinData, err = json.Marshal(c)
	must(t, err)
}

// measure sends by TCP for some time, and returns how many bits per second arrived, once it was going.
func measure(t *testing.T, from, to *netns.Namespace, target netip.Addr) float64 {
	t.Helper()
	const start, length = 500 * time.Millisecond, 3 * time.Second
	var listener net.Listener
	must(t, to.Do(func() (err error) {
		listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(target, 0)))
		return err
	}))
	defer listener.Close()
	var sender net.Conn
	must(t, from.Do(func() (err error) {
		sender, err = (&net.Dialer{Timeout: probe.Timeout}).DialContext(t.Context(), "tcp", listener.Addr().String())
		return err
	}))
	defer sender.Close()
	receiver, err := listener.Accept()
	must(t, err)
	defer receiver.Close()
	go func() {
		data := make([]byte, 64<<10)
		for {
			if _, err := sender.Write(data); err != nil {
				return // closed
			}
		}
	}()
	count := func(until time.Time) (n int64) {
		must(t, receiver.SetDeadline(until))
		n, err := io.Copy(io.Discard, receiver)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("receive: %v", err)
		}
		return n
	}
	begin := time.Now()
	count(begin.Add(start))
	begin = time.Now()
	bytes := count(begin.Add(length))
	return float64(bytes) * 8 / time.Since(begin).Seconds()
}

// TestBandwidth limits both directions, to a sibling and across the fabric.
func TestBandwidth(t *testing.T) {
	const ingress, egress = 10_000_000, 20_000_000
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master())
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	sibling := m.addPod(t, "ens6")
	p := m.newPod(t, "ens6")
	p.limited(t, ingress, egress)
	must(t, p.add(t))
	must(t, p.check(t))
	for _, c := range []struct {
		name     string
		from, to *pod
		limit    float64
	}{
		{"in from remote", remote, p, ingress},
		{"out to remote", p, remote, egress},
		{"in from sibling", sibling, p, ingress},
		{"out to sibling", p, sibling, egress},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := c.to.v4
			if c.from == sibling || c.to == sibling {
				target = c.to.v6
			}
			rate := 0.0
			// The machine may be busy with other things: a limit is never exceeded, and reached in one of some tries.
			for try := 0; try < 4 && rate < 0.9*c.limit; try++ {
				rate = measure(t, c.from.Namespace, c.to.Namespace, target)
				t.Logf("%.2f of %.0f Mbit/s", rate/1e6, c.limit/1e6)
			}
			if rate < 0.9*c.limit || rate > 1.1*c.limit {
				t.Errorf("%.2f Mbit/s, want %.0f within a tenth", rate/1e6, c.limit/1e6)
			}
		})
	}
	wantLinks(t, p.Namespace, "eth0", "host0", limiter(t, p))
	must(t, p.del())
	wantLinks(t, p.Namespace)
}

// limiter is the name of the pod's ifb link.
func limiter(t *testing.T, p *pod) string {
	t.Helper()
	list, err := handle(t, p.Namespace).LinkList()
	must(t, err)
	i := slices.IndexFunc(list, func(l netlink.Link) bool { return l.Type() == "ifb" })
	if i < 0 {
		t.Fatal("there is no ifb link")
	}
	return list[i].Attrs().Name
}

// TestBandwidthIsKept breaks limits; CHECK names what is broken, and ADD repairs it. Other limits replace them.
func TestBandwidthIsKept(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master())
	remote := w.addNode(t, "worker", primary("b"), worker()).addPod(t, "ens6")
	p := m.newPod(t, "ens6")
	p.limited(t, 10_000_000, 20_000_000)
	must(t, p.add(t))
	links := handle(t, p.Namespace)
	queue := func(name string) netlink.Qdisc {
		l, err := links.LinkByName(name)
		must(t, err)
		list, err := links.QdiscList(l)
		must(t, err)
		for _, q := range list {
			if q.Type() == "tbf" {
				return q
			}
		}
		t.Fatalf("%s has no limit: %v", name, list)
		return nil
	}
	for _, c := range []struct {
		name, word string
		damage     func()
	}{
		{"what goes out", "the limit of 20000000 bit/s is missing", func() { must(t, links.QdiscDel(queue("eth0"))) }},
		{"what comes in", "the limit of 10000000 bit/s is missing", func() { must(t, links.QdiscDel(queue(limiter(t, p)))) }},
		{"the limiter", "the filter that limits what comes in is missing", func() {
			l, err := links.LinkByName(limiter(t, p))
			must(t, err)
			must(t, links.LinkDel(l))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, p.check(t))
			c.damage()
			wantCode(t, p.check(t), cni.CodeDamaged, c.word)
			must(t, p.add(t))
			must(t, p.check(t))
			w.wantPings(t, remote.end(), p.end(), small)
		})
	}
	t.Run("another limit", func(t *testing.T) {
		p.limited(t, 30_000_000, 0)
		wantCode(t, p.check(t), cni.CodeDamaged, "limit")
		must(t, p.add(t))
		must(t, p.check(t))
	})
	t.Run("no limit", func(t *testing.T) {
		p.limited(t, 0, 0)
		must(t, p.add(t))
		must(t, p.check(t))
		wantLinks(t, p.Namespace, "eth0", "host0")
		w.wantPings(t, remote.end(), p.end(), small)
	})
	must(t, p.del())
	m.wantStore(t, 0)
}

// TestMissingModules has a kernel without what limits need.
func TestMissingModules(t *testing.T) {
	w := newWorld(t)
	m := w.addNode(t, "master", primary("a"), master())
	if missing, err := datapath.MissingModules(); err != nil || len(missing) > 0 { // it loads what the tests do not take away
		t.Fatal(missing, err)
	}
	const helper = "/proc/sys/kernel/modprobe"
	modprobe, err := os.ReadFile(helper)
	must(t, err)
	defer func() { must(t, os.WriteFile(helper, modprobe, 0o644)) }()
	for _, module := range []string{"ifb", "sch_tbf"} {
		t.Run(module, func(t *testing.T) {
			must(t, os.WriteFile(helper, []byte("/nonexistent"), 0o644))
			unload(t, module)
			p := m.newPod(t, "ens6")
			p.limited(t, 10_000_000, 20_000_000)
			wantCode(t, p.add(t), cni.CodeKernel, "lacks the module "+module)
			wantLinks(t, p.Namespace)
			m.wantStore(t, 0)
			must(t, os.WriteFile(helper, modprobe, 0o644))
			must(t, p.add(t))
			must(t, p.check(t))
			must(t, p.del())
		})
	}
}

// unload removes a module of the kernel that nothing uses any more; what has used it may take a moment to go.
func unload(t *testing.T, module string) {
	t.Helper()
	deadline := time.Now().Add(probe.Timeout)
	for {
		err := unix.DeleteModule(module, 0)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("unload %s: %v", module, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

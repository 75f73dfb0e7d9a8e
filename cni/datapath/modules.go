// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// MissingModules names the modules of the kernel without which pods, or some of what they may ask for, cannot be attached; sorted. It tries what ADD
// does, in a network namespace of its own that is gone afterwards: so modules that the kernel loads by itself, or has built in, do not count as missing.
func MissingModules() ([]string, error) {
	t := &trial{}
	if err := elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, t.run); err != nil {
		return nil, fmt.Errorf("look for missing modules of the kernel: %w", err)
	}
	slices.Sort(t.missing)
	return t.missing, nil
}

// trial is one attempt at everything.
type trial struct {
	socket  *socket
	missing []string
	errs    []error
}

func (t *trial) run() error {
	fd, err := unix.Open(threadNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	here := &Namespace{Path: threadNamespace, fd: fd}
	defer here.Close()
	if t.socket, err = openSocket(); err != nil {
		return err
	}
	defer t.socket.close()
	t.traffic(t.links(here))
	t.rules()
	return errors.Join(t.errs...)
}

// needs does something, and blames the module if the kernel does not know it.
func (t *trial) needs(module string, messages ...*message) bool {
	err := t.socket.do(messages...)
	switch {
	case err == nil:
		return true
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		t.missing = append(t.missing, module)
	default:
		t.errs = append(t.errs, err)
	}
	return false
}

// links makes those of a pod, and returns one for traffic control: lo if there is no better.
func (t *trial) links(here *Namespace) link {
	const mtu = 1500
	i := Identity{Container: "trial", Name: "eth0"}
	base := link{index: 1}
	if t.needs("veth", newPair(i, mtu, here)) {
		answers, err := t.socket.ask(getLink(i.hostLeg()))
		if err == nil && answers[0] != nil {
			base, err = parseLink(answers[0])
		}
		if err != nil {
			t.errs = append(t.errs, err)
		}
		t.needs("ipvlan", newIPVlan(i, base, mtu, here))
	}
	t.needs("ifb", newLimiter(i))
	return base
}

// traffic sets a filter, a limit and a redirection of each kind.
func (t *trial) traffic(base link) {
	const rate = 1 << 20
	t.needs("sch_tbf", setShaper(shaper{index: base.index, rate: rate, burst: rate, queue: rate}))
	if !t.needs("sch_ingress", addFilterPoint(base.index)) {
		return // nothing else can be told without a place for filters
	}
	own := filter{index: base.index, parent: outgoing, priority: 1, handle: 1, program: everything()}
	gate := filter{index: base.index, parent: outgoing, priority: 2, handle: 1, program: everything(), next: metadataChain}
	settle := filter{index: base.index, parent: outgoing, priority: 3, handle: 1, program: everything(), action: actionSettle}
	if t.needs("cls_bpf", setFilter(own)) {
		t.needs("act_gact", setFilter(gate))
		t.needs("act_csum", setFilter(settle))
		t.needs("act_mirred", setFilter(incomingFilter(base.index, base.index)))
	}
}

// rules writes the node's rules. They need several modules, which are loaded and packaged together as a rule.
func (t *trial) rules() {
	f := firewall{ends: nodeAddresses{ipv4: netip.MustParseAddr("127.0.0.1"), ipv6: netip.IPv6Loopback()}, forward: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	if err := applyFirewall(f); err != nil {
		t.missing = append(t.missing, "nf_tables")
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
)

// leg is what tests/bench/cnifloor is told.
type leg struct {
	Netns                     string
	Master, MTU               int
	Group, Index, Table       int
	Name, HostMAC, PodMAC     string
	Pod, Service              netip.Prefix
	Gateway, Node             netip.Addr
	podState, nodeState, left string // as ours leaves them: with the pod, and after it
}

// floor measures an interface with its host leg against a program that only makes the same links. That both leave the same in both namespaces, after ADD
// and after DEL, is checked first.
func (b *bench) floor(ctx context.Context, pairs int) (err error) {
	pods, err := b.newPods(8)
	defer func() { err = errors.Join(err, closeAll(pods)) }()
	if err != nil {
		return err
	}
	legs := make([]leg, len(pods))
	for i, p := range pods {
		if legs[i], err = b.learn(ctx, p); err != nil {
			return err
		}
		if err := b.compareFloor(ctx, p, legs[i]); err != nil {
			return err
		}
	}
	next := 0
	turn := func(call func(verb string, i int) error) func(int) (float64, error) {
		return func(int) (float64, error) {
			i := next % len(pods)
			next++
			begin := time.Now()
			err := errors.Join(call("ADD", i), call("DEL", i))
			return milliseconds(time.Since(begin)), err
		}
	}
	s, err := alternate("cni-floor", pairs,
		turn(func(verb string, i int) error { return b.all(ctx, ours(networkLeg), verb, pods[i]) }),
		turn(func(verb string, i int) error { return b.execFloor(ctx, verb, legs[i]) }))
	if err != nil {
		return err
	}
	return s.print()
}

func (b *bench) execFloor(ctx context.Context, verb string, l leg) error {
	argument, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, filepath.Join(b.programs, "cnifloor"), verb, string(argument)).CombinedOutput(); err != nil {
		return fmt.Errorf("cnifloor %s: %w: %s", verb, err, out)
	}
	return nil
}

// learn attaches a pod by ours and looks at what that made.
func (b *bench) learn(ctx context.Context, p pod) (leg, error) {
	l := leg{Netns: p.Path(), Gateway: netip.MustParseAddr("10.0.0.1"), Node: netip.MustParseAddr("10.0.0.10"), Service: netip.MustParsePrefix(serviceCIDR)}
	if err := b.all(ctx, ours(networkLeg), "ADD", p); err != nil {
		return l, err
	}
	if err := errors.Join(p.Do(l.readPod), l.readNode()); err != nil {
		return l, err
	}
	var err error
	if l.podState, l.nodeState, err = states(p); err != nil {
		return l, err
	}
	if err := b.all(ctx, ours(networkLeg), "DEL", p); err != nil {
		return l, err
	}
	l.left, _, err = states(p)
	return l, err
}

func (l *leg) readPod() error {
	own, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	peer, err := netlink.LinkByName("host0")
	if err != nil {
		return err
	}
	l.Index, l.Group, l.MTU, l.PodMAC = own.Attrs().Index, int(own.Attrs().Group), own.Attrs().MTU, peer.Attrs().HardwareAddr.String()
	addresses, err := netlink.AddrList(own, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, a := range addresses {
		ones, _ := a.Mask.Size()
		address, _ := netip.AddrFromSlice(a.IP.To4())
		l.Pod = netip.PrefixFrom(address, ones)
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	for _, r := range rules {
		if r.Priority == 100 {
			l.Table = r.Table
		}
	}
	return err
}

// readNode finds the node's end of the only host leg.
func (l *leg) readNode() error {
	master, err := netlink.LinkByName(uplink)
	if err != nil {
		return err
	}
	l.Master = master.Attrs().Index
	links, err := netlink.LinkList()
	for _, end := range links {
		if name := end.Attrs().Name; len(name) > 4 && name[:4] == "ulay" {
			l.Name, l.HostMAC = name, end.Attrs().HardwareAddr.String()
		}
	}
	return err
}

// compareFloor checks that the program leaves what ours leaves.
func (b *bench) compareFloor(ctx context.Context, p pod, l leg) error {
	if err := b.execFloor(ctx, "ADD", l); err != nil {
		return err
	}
	inPod, onNode, err := states(p)
	if err != nil {
		return err
	}
	if err := b.execFloor(ctx, "DEL", l); err != nil {
		return err
	}
	left, _, err := states(p)
	if err != nil {
		return err
	}
	for _, c := range []struct{ what, ours, floor string }{{"in the pod", l.podState, inPod}, {"on the node", l.nodeState, onNode}, {"in the pod after DEL", l.left, left}} {
		if c.ours != c.floor {
			return fmt.Errorf("cnifloor does not leave what underlay leaves %s:\n%s\nours:\n%s", c.what, c.floor, c.ours)
		}
	}
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// plugin is a CNI plugin with its configuration, and the interface that it makes.
type plugin struct {
	program, config, ifName string
}

func ours(network string) []plugin {
	return []plugin{{"underlay", fmt.Sprintf(`{"cniVersion":"1.0.0","name":%q,"type":"underlay","network":%q}`, network, network), "eth0"}}
}

// hostLocal hands out of its own part of the uplink's subnets.
func hostLocal(name, ranges, routes string) string {
	return fmt.Sprintf(`{"cniVersion":"1.0.0","name":%q,"type":%%q,"master":%q,"mode":"l2","ipam":{"type":"host-local","dataDir":%q,"ranges":[%s],"routes":[%s]}}`,
		name, uplink, peerState, ranges, routes)
}

const (
	peerRangeIPv4 = `[{"subnet":"10.0.0.0/16","rangeStart":"10.0.101.1","rangeEnd":"10.0.101.254","gateway":"10.0.0.1"}]`
	peerRangeIPv6 = `[{"subnet":"fd00::/64","rangeStart":"fd00::2:0:0:1","rangeEnd":"fd00::2:0:ffff:ffff","gateway":"fd00::1"}]`
	peerRangeLeg  = `[{"subnet":"10.201.0.0/16"}]`
)

func ipvlan() []plugin {
	return []plugin{{"ipvlan", fmt.Sprintf(hostLocal("peer4", peerRangeIPv4, `{"dst":"0.0.0.0/0"}`), "ipvlan"), "eth0"}}
}

func ipvlanDual() []plugin {
	return []plugin{{"ipvlan", fmt.Sprintf(hostLocal("peer46", peerRangeIPv4+","+peerRangeIPv6, `{"dst":"0.0.0.0/0"},{"dst":"::/0"}`), "ipvlan"), "eth0"}}
}

// ipvlanAndLeg has the second leg that ours calls the host leg, with the service CIDR routed into it.
func ipvlanAndLeg() []plugin {
	return append(ipvlan(), plugin{"ptp", fmt.Sprintf(hostLocal("peerleg", peerRangeLeg, `{"dst":"10.96.0.0/12"}`), "ptp"), "eth1"})
}

func (b *bench) exec(ctx context.Context, p plugin, verb, id, netnsPath string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.programs, p.program))
	cmd.Env = []string{"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + netnsPath, "CNI_IFNAME=" + p.ifName, "CNI_PATH=" + b.programs}
	cmd.Stdin = bytes.NewReader([]byte(p.config))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", p.program, verb, err, out)
	}
	return nil
}

// start measures VERSION: a process's start and end.
func (b *bench) start(ctx context.Context, pairs int) error {
	side := func(p plugin) func(int) (float64, error) {
		return func(int) (float64, error) {
			begin := time.Now()
			err := b.exec(ctx, p, "VERSION", "", "")
			return milliseconds(time.Since(begin)), err
		}
	}
	s, err := alternate("cni-start", pairs, side(ours(networkIPv4)[0]), side(ipvlan()[0]))
	return errors.Join(err, s.print())
}

// addDel measures an ADD and its DEL.
func (b *bench) addDel(ctx context.Context, pairs int) error {
	for _, c := range []struct {
		name       string
		pairs      int
		ours, peer []plugin
	}{
		{"cni-add-del-ipv4", pairs, ours(networkIPv4), ipvlan()},
		{"cni-add-del-dual", pairs, ours(networkDual), ipvlanDual()},
		{"cni-add-del-hostleg", max(1, pairs/3), ours(networkLeg), ipvlanAndLeg()}, // of which there is no p99
	} {
		s, err := b.addDelOf(ctx, c.name, c.pairs, c.ours, c.peer)
		if err != nil {
			return err
		}
		if err := s.print(); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) addDelOf(ctx context.Context, name string, pairs int, ours, peer []plugin) (s series, err error) {
	// Namespaces are made before and go after everything: the kernel's work with them is none of the plugins'. Each is used again and again.
	pods, err := b.newPods(8)
	defer func() { err = errors.Join(err, closeAll(pods)) }()
	if err != nil {
		return series{}, err
	}
	side := func(plugins []plugin) func(int) (float64, error) {
		return func(int) (float64, error) {
			p := pods[0]
			pods = append(pods[1:], p)
			begin := time.Now()
			err := errors.Join(b.all(ctx, plugins, "ADD", p), b.all(ctx, plugins, "DEL", p))
			return milliseconds(time.Since(begin)), err
		}
	}
	return alternate(name, pairs, side(ours), side(peer))
}

// all calls the plugins one after the other.
func (b *bench) all(ctx context.Context, plugins []plugin, verb string, p pod) error {
	for _, x := range plugins {
		if err := b.exec(ctx, x, verb, p.id, p.Path()); err != nil {
			return err
		}
	}
	return nil
}

// crowd is how many pods start at the same time.
const crowd = 100

// parallel measures how long a crowd's ADDs take together. Of these there are few pairs.
func (b *bench) parallel(ctx context.Context, pairs int) error {
	side := func(plugins []plugin) func(int) (float64, error) {
		return func(int) (float64, error) { return b.addCrowd(ctx, plugins) }
	}
	s, err := alternate("cni-add-100-parallel", max(1, pairs/30), side(ours(networkLeg)), side(ipvlan()))
	return errors.Join(err, s.print())
}

func (b *bench) addCrowd(ctx context.Context, plugins []plugin) (seconds float64, err error) {
	pods, err := b.newPods(crowd)
	defer func() { err = errors.Join(err, closeAll(pods)) }()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	err = b.crowd(ctx, plugins, "ADD", pods)
	seconds = time.Since(begin).Seconds()
	return seconds, errors.Join(err, b.crowd(ctx, plugins, "DEL", pods))
}

// crowd calls the plugins for all pods at the same time.
func (b *bench) crowd(ctx context.Context, plugins []plugin, verb string, pods []pod) (err error) {
	ended := make(chan error, len(pods))
	for _, p := range pods {
		go func() { ended <- b.all(ctx, plugins, verb, p) }()
	}
	for range pods {
		err = errors.Join(err, <-ended)
	}
	return err
}

// pod is a namespace without interfaces.
type pod struct {
	*netns.Namespace
	id string
}

func (b *bench) newPods(count int) ([]pod, error) {
	var pods []pod
	for range count {
		b.pods++
		id := fmt.Sprintf("pod-%d", b.pods)
		ns, err := netns.NewNamed(id)
		if err != nil {
			return pods, err
		}
		pods = append(pods, pod{ns, id})
		for _, which := range []string{"all", "default"} { // ipvlan would wait a second or two for DAD
			if err := ns.Set("net.ipv6.conf."+which+".accept_dad", "0"); err != nil {
				return pods, err
			}
		}
	}
	return pods, nil
}

func closeAll(pods []pod) error {
	var errs []error
	for _, p := range pods {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

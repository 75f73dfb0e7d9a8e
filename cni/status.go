// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// Status says whether ADD can work at all. Runtimes make a node NotReady while it fails, so it fails only where no pod could start: without a valid node
// file, and while the machine has none of the interfaces of the node's default network. No address being free is not such a case. It takes no lock: the
// node file is whole at any time.
func (p *Plugin) Status(args *Call) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	unavailable := func(format string, args ...any) error {
		return types.NewError(types.ErrPluginNotAvailable, fmt.Sprintf(format, args...), "")
	}
	node, err := p.readNodeFile()
	if err != nil {
		return unavailable("%v", err)
	}
	network := node.Network(c.Network)
	if network == nil || !network.Default {
		return nil
	}
	macs := interfacesOf(node, network.Name)
	if len(macs) == 0 {
		return nil
	}
	links, err := p.openDatapath()
	if err != nil {
		return err
	}
	defer links.Close()
	var reasons []string
	for _, mac := range macs {
		err := links.Missing(mac)
		if err == nil {
			return nil
		}
		reasons = append(reasons, err.Error())
	}
	return unavailable("the default network %s has no interface here that could carry pods: %s", network.Name, strings.Join(reasons, "; "))
}

// interfacesOf lists the MACs of a network's interfaces, sorted.
func interfacesOf(node *nodefile.File, network string) []string {
	var macs []string
	for _, pool := range node.PoolsOf(network) {
		macs = append(macs, pool.Interface.MAC)
	}
	slices.Sort(macs)
	return slices.Compact(macs)
}

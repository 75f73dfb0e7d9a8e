// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// GC frees the addresses of the network's sandboxes that ended without DEL. What the runtime's list says is valid stays unasked; what it leaves out goes
// only if it is minutes old and its namespace is gone, or holds neither the interface nor an address: such lists can be incomplete.
func (p *Plugin) GC(args *Call) error {
	c, err := parseConfig(args.StdinData)
	if err != nil {
		return err
	}
	valid := map[ipam.Owner]bool{}
	for _, a := range slices.Concat(c.ValidAttachments, c.ValidAttachmentsOfOld) {
		valid[ipam.Owner{ContainerID: a.ContainerID, IfName: a.IfName}] = true
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	freed, err := ipam.Collect(ctx, p.storeOptions(), ipam.Collection{Network: c.Network, Valid: valid, Alive: alive})
	if err != nil || len(freed) == 0 {
		return err
	}
	links, err := p.openDatapath()
	if err != nil {
		return err
	}
	defer links.Close()
	var errs []error
	for _, r := range freed {
		p.log(fmt.Sprintf("network %s: container %s, interface %s, is gone: its addresses %v are free again", r.Network, r.ContainerID, r.IfName, r.Addresses()))
		// A host leg may be left where the namespace lives on.
		errs = append(errs, links.Remove(nil, datapath.Identity{Container: r.ContainerID, Name: r.IfName}))
	}
	return errors.Join(errs...)
}

// alive says whether a record's namespace still holds its interface or one of its addresses.
func alive(r ipam.Record) (bool, error) {
	return datapath.Holds(r.Netns.Path, r.Netns.Inode, r.IfName, r.Addresses())
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// Collect frees the addresses that dead sandboxes left.
func (h *Host) Collect(ctx context.Context) error {
	if !ipam.Exists(h.paths.Store) {
		return nil // opening it would make one
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	s := &survivors{}
	freed, err := ipam.Collect(ctx, h.storeOptions(), ipam.Collection{Alive: s.alive})
	if err != nil {
		return fmt.Errorf("collect the addresses of sandboxes that are gone: %w", err)
	}
	if len(freed) == 0 {
		return nil
	}
	d, err := h.datapath()
	if err != nil {
		return err
	}
	defer d.Close()
	var errs []error
	for _, r := range freed {
		h.log.Info("freed the addresses of a sandbox that is gone", "addresses", r.Addresses(), "container", r.ContainerID, "pod", r.Pod.Namespace+"/"+r.Pod.Name)
		// Its host leg is left where the namespace lives on without its interface.
		errs = append(errs, d.Remove(nil, datapath.Identity{Container: r.ContainerID, Name: r.IfName}))
	}
	return errors.Join(errs...)
}

// survivors are the addresses that live namespaces hold, found when the first of the records seems dead.
type survivors struct {
	known bool
	list  []datapath.Found
}

// alive says whether a record's sandbox lives. Its path alone is not believed: the agent may not see all mounts of the host. So an address that any
// namespace holds, found by whatever mount or process, is alive.
func (s *survivors) alive(r ipam.Record) (bool, error) {
	holds, err := datapath.Holds(r.Netns.Path, r.Netns.Inode, r.IfName, r.Addresses())
	if holds || err != nil {
		return holds, err
	}
	if !s.known {
		if s.list, err = datapath.FoundAddresses(); err != nil {
			return false, err
		}
		s.known = true
	}
	return slices.ContainsFunc(s.list, func(f datapath.Found) bool { return slices.Contains(r.Addresses(), f.Address) }), nil
}

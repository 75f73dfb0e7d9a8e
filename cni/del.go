// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cni

import (
	"errors"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
)

// Del detaches a pod: links first, then addresses, so that no link has an address which another pod may get. It does not look at the configuration:
// what is wrong with that must not keep an address.
func (p *Plugin) Del(args *Call) error {
	namespace, err := p.namespaceOf(args)
	if err != nil {
		return err
	}
	if namespace != nil {
		defer namespace.Close()
	}
	links, err := p.openDatapath()
	if err != nil {
		return err
	}
	defer links.Close()
	return links.RemoveThen(namespace, identity(args), func() error {
		if err := p.after(StepRemove); err != nil {
			return err
		}
		if err := p.release(args, namespace); err != nil {
			return err
		}
		return p.after(StepRelease)
	})
}

// release gives the addresses back. Where the store does not know the sandbox, it may have been made anew since, and then it knows what it found by the
// namespace's path: that is of this sandbox, unless an interface is there still. A later one's is.
func (p *Plugin) release(args *Call, namespace *datapath.Namespace) error {
	var released []ipam.Record
	releaseBy := func(path string) error {
		return p.withStore(func(s *ipam.Store) error {
			var err error
			released, err = s.Release(owner(args), path)
			return err
		})
	}
	if err := releaseBy(""); err != nil || len(released) > 0 || args.Netns == "" {
		return err
	}
	if namespace != nil {
		if later, err := datapath.Holds(namespace.Path, namespace.Inode, args.IfName, nil); err != nil || later {
			return err
		}
	}
	return releaseBy(args.Netns)
}

// namespaceOf opens the pod's namespace; nil if it is gone. Runtimes leave out the path when they think so: then the record's counts, if that namespace
// is still there, since its address must not be another's while it lives.
func (p *Plugin) namespaceOf(args *Call) (*datapath.Namespace, error) {
	path, inode := args.Netns, uint64(0)
	if path == "" {
		err := p.withStore(func(s *ipam.Store) error {
			r, _, err := s.Get(owner(args))
			path, inode = r.Netns.Path, r.Netns.Inode
			return err
		})
		if err != nil || path == "" {
			return nil, err
		}
	}
	namespace, err := datapath.OpenNamespace(path)
	if wrong, ok := errors.AsType[*datapath.NamespaceError](err); ok && (wrong.Gone || args.Netns == "") {
		return nil, nil //nolint:nilnil // gone
	}
	if err != nil {
		return nil, err
	}
	if inode != 0 && namespace.Inode != inode {
		namespace.Close()
		return nil, nil //nolint:nilnil // another one is there now
	}
	return namespace, nil
}

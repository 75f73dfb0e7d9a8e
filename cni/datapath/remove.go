// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Remove removes an interface's links, and its host leg's; what is gone already is no error. The namespace may be nil: then the host leg alone is removed.
// Routes and neighbours go with their links.
func (d *Datapath) Remove(n *Namespace, i Identity) error {
	var errs []error
	if n != nil {
		if err := n.withSocket(func(s *socket) error { return removeFromPod(s, i) }); err != nil {
			errs = append(errs, fmt.Errorf("interface %s in %s: %w", i.Name, n.Path, err))
		}
	}
	// Gone with its peer, normally.
	if err := d.node.do(deleteLink(i.hostLeg())); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeFromPod removes the interface's links and, since a namespace may live on, the rules that go with them.
func removeFromPod(s *socket, i Identity) error {
	messages := []*message{deleteGroup(i)}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		messages = append(messages,
			deleteRule(rule{family: family, priority: sourcePriority, table: i.index()}),
			deleteRule(rule{family: family, priority: hostLegPriority, table: i.hostLegTable()}))
	}
	return s.do(messages...)
}

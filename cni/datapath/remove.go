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
	// The host leg is gone with its peer, normally. Filters on the node's interfaces go when nothing can send any more.
	messages := []*message{deleteLink(i.hostLeg())}
	for _, master := range d.rememberedMasters() {
		messages = append(messages, deleteFilter(metadataFilter(i, master)))
	}
	return errors.Join(append(errs, d.node.do(messages...))...)
}

// removeFromPod removes the interface's links and, since a namespace may live on, the rules that go with them. Where there are no links there are no
// rules of this sandbox: those of a later one look the same. So the links go last: whoever is killed halfway leaves links by which the next call knows.
func removeFromPod(s *socket, i Identity) error {
	answers, err := s.ask(getLink(i.Name), getLink(hostLegLink), getLink(i.limiter()))
	if err != nil {
		return err
	}
	ours := false
	for _, data := range answers {
		if data == nil {
			continue
		}
		l, err := parseLink(data)
		if err != nil {
			return err
		}
		ours = ours || l.group == i.group()
	}
	var messages []*message
	if ours {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			messages = append(messages,
				deleteRule(rule{family: family, priority: sourcePriority, table: i.index()}),
				deleteRule(rule{family: family, priority: hostLegPriority, table: i.hostLegTable()}))
		}
	}
	return s.do(append(messages, deleteGroup(i))...)
}

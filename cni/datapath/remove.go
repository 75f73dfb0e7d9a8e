// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Remove removes an interface's links, and its host leg's; what is gone already is no error. The namespace may be nil: then the host leg alone is removed.
// Routes and neighbours go with their links.
func (d *Datapath) Remove(n *Namespace, i Identity) error {
	return d.RemoveThen(n, i, func() error { return nil })
}

// RemoveThen is Remove, and calls the function as soon as the links are gone, and with them their addresses. The kernel waits for the last readers of what
// they were (RCU) behind that, which takes longer than all else: the function is at work meanwhile. It is not called if something could not be removed.
func (d *Datapath) RemoveThen(n *Namespace, i Identity, then func() error) error {
	if n == nil {
		return d.removeFromNode(i, then)
	}
	return n.withSocket(func(s *socket) error {
		ended, err := removeFromPod(n, s, i)
		if err != nil {
			return errors.Join(fmt.Errorf("interface %s in %s: %w", i.Name, n.Path, err), d.removeFromNode(i, nil))
		}
		return errors.Join(d.removeFromNode(i, then), ended())
	})
}

// removeFromNode removes what is on the node. The host leg is gone with its peer, normally. Filters on the node's interfaces go when nothing can send any
// more.
func (d *Datapath) removeFromNode(i Identity, then func() error) error {
	messages := []*message{deleteLink(i.hostLeg())}
	for _, master := range d.rememberedMasters() {
		messages = append(messages, deleteFilter(metadataFilter(i, master)))
	}
	if err := d.node.do(messages...); err != nil || then == nil {
		return err
	}
	return then()
}

// removeFromPod removes the interface's links and, since a namespace may live on, the rules that go with them. Where there are no links there are no
// rules of this sandbox: those of a later one look the same. So the links go last: whoever is killed halfway leaves links by which the next call knows.
// It returns when all links are gone; ended waits until the kernel is done with them.
func removeFromPod(n *Namespace, s *socket, i Identity) (ended func() error, err error) {
	left, err := hasLinks(s, i)
	if err != nil {
		return nil, err
	}
	if !left {
		return func() error { return nil }, s.do(deleteGroup(i))
	}
	var messages []*message
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		messages = append(messages,
			deleteRule(rule{family: family, priority: sourcePriority, table: i.index()}),
			deleteRule(rule{family: family, priority: hostLegPriority, table: i.hostLegTable()}))
	}
	messages = append(messages, deleteGroup(i))
	done := make(chan struct{})
	var refusal error
	go func() {
		defer close(done)
		refusal = s.do(messages...)
	}()
	ended = func() error {
		<-done
		return refusal
	}
	if err := n.withSocket(func(watcher *socket) error { return untilGone(watcher, i, done) }); err != nil {
		return nil, errors.Join(err, ended())
	}
	select {
	case <-done:
		return ended, refusal
	default:
		return ended, nil
	}
}

// removeRules removes the rules that this call wanted. Remove has done so, unless another one came while this call was at work: the links were gone by
// then, and the kernel takes rules without them.
func (a *application) removeRules() error {
	if len(a.want.rules) == 0 {
		return nil
	}
	var messages []*message
	for _, r := range a.want.rules {
		messages = append(messages, deleteRule(r))
	}
	return a.namespace.withSocket(func(s *socket) error { return s.do(messages...) })
}

// untilGone waits until the interface's links are gone, or done is closed. The question waits for the kernel's lock, which it gives back when the links
// are gone; only one that comes ahead of the removal has to be repeated.
func untilGone(s *socket, i Identity, done <-chan struct{}) error {
	const pause = 100 * time.Microsecond
	for {
		if left, err := hasLinks(s, i); err != nil || !left {
			return err
		}
		select {
		case <-done:
			return nil
		case <-time.After(pause):
		}
	}
}

// hasLinks says whether any of the interface's links is there.
func hasLinks(s *socket, i Identity) (bool, error) {
	answers, err := s.ask(getLink(i.Name), getLink(hostLegLink), getLink(i.limiter()))
	if err != nil {
		return false, err
	}
	for _, data := range answers {
		if data == nil {
			continue
		}
		if l, err := parseLink(data); err != nil || l.group == i.group() {
			return true, err
		}
	}
	return false, nil
}

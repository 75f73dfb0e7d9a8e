// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"

	"golang.org/x/sys/unix"
)

// guard sets the filters on the node's interface. The pod's own is there, and neither up nor has it an address. The filters that all pods share are made
// anew by the first one and when ADD is repeated; else it is enough, and quicker, that they are there.
func (a *application) guard() error {
	filters := a.endpoint.metadataFilters(a.links.master.index)
	if len(filters) == 0 {
		return nil
	}
	messages := []*message{addFilterPoint(a.links.master.index)}
	for _, f := range filters {
		if f.chain == metadataChain || a.fresh || !a.madeInterface {
			messages = append(messages, setFilter(f))
		} else {
			messages = append(messages, keepFilter(f))
		}
	}
	if err := a.node.do(messages...); err != nil {
		return err
	}
	return a.options.After(StepGuard)
}

// controlTraffic sets the pod's filters and limits, while its links are down. The kernel takes the limiter first: a filter leads there.
func (a *application) controlTraffic(s *socket, w want) error {
	if a.endpoint.Bandwidth.Ingress.Rate != 0 {
		err := s.do(newLimiter(a.endpoint.Identity))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		a.madeLimiter = err == nil
	}
	var messages []*message
	if !a.madeInterface {
		messages = a.forgetLimits()
	}
	messages = append(messages, addFilterPoint(a.links.pod.index))
	for _, q := range w.shapers {
		messages = append(messages, setShaper(q))
	}
	for _, f := range w.filters {
		messages = append(messages, setFilter(f))
	}
	if err := s.do(messages...); err != nil {
		return err
	}
	return a.options.After(StepTraffic)
}

// forgetLimits removes what an earlier call has set: its limits may have been others, and a redirection outlives the link that it leads to.
func (a *application) forgetLimits() []*message {
	messages := []*message{deleteFilter(incomingFilter(a.links.pod.index, 0))}
	if a.endpoint.Bandwidth.Egress.Rate == 0 {
		messages = append(messages, deleteShaper(a.links.pod.index))
	}
	if a.endpoint.Bandwidth.Ingress.Rate == 0 {
		messages = append(messages, deleteLink(a.endpoint.limiter()))
	}
	return messages
}

// removeLimiter removes the limiter that this call has made for an interface which was there.
func (a *application) removeLimiter() error {
	if !a.madeLimiter {
		return nil
	}
	return a.namespace.withSocket(func(s *socket) error { return s.do(deleteLink(a.endpoint.limiter())) })
}

// readTraffic reads the pod's filters and limits.
func (h *have) readTraffic(s *socket, e *Endpoint) error {
	for _, parent := range []uint32{outgoing, incoming} {
		if err := h.readFilters(s, h.links.pod.index, parent); err != nil {
			return err
		}
	}
	list, err := s.dump(listQueues())
	if err != nil {
		return err
	}
	for _, data := range list {
		q, ok, err := parseShaper(data)
		if err != nil {
			return err
		}
		if ok && (q.index == h.links.pod.index || q.index == e.limiterIndex()) {
			h.shapers = append(h.shapers, q)
		}
	}
	return nil
}

func (h *have) readFilters(s *socket, index int, parent uint32) error {
	if index == 0 {
		return nil // the kernel would list nothing, or another link's
	}
	list, err := s.dump(listFilters(index, parent))
	if err != nil {
		return err
	}
	for _, data := range list {
		f, ok, err := parseFilter(data)
		if err != nil {
			return err
		}
		if ok {
			h.filters = append(h.filters, f)
		}
	}
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// have is what the kernel has of an endpoint.
type have struct {
	links      links
	settings   []sysctl
	addresses  []netip.Prefix
	routes     []route
	rules      []rule
	neighbours []neighbour
	filters    []filter // in the pod and on the node's interface
	shapers    []shaper
	node       nodeWant
}

// Check reads the endpoint back and names the differences from what it should be; there is none when all is well.
func (d *Datapath) Check(n *Namespace, e Endpoint) ([]string, error) {
	if err := e.validate(); err != nil {
		return nil, err
	}
	master, err := d.master(e.MAC)
	if err != nil {
		return nil, err
	}
	node, err := d.inspectNode(&e)
	if err != nil {
		return nil, err
	}
	h, err := d.read(n, &e, master)
	if err != nil {
		return nil, err
	}
	return compare(&e, e.want(h.links, node), h), nil
}

// read reads all that belongs to the endpoint.
func (d *Datapath) read(n *Namespace, e *Endpoint, master link) (have, error) {
	h := have{links: links{master: master}}
	err := n.do(func() error {
		s, err := openSocket()
		if err != nil {
			return err
		}
		defer s.close()
		return h.readPod(s, e)
	})
	if err != nil {
		return h, err
	}
	if e.BlockMetadata {
		if err := h.readFilters(d.node, master.index, outgoing); err != nil {
			return h, err
		}
	}
	if e.HostLeg == nil {
		return h, nil
	}
	if h.links.node, err = readLink(d.node, e.hostLeg()); err != nil || h.links.node.index == 0 {
		return h, err
	}
	if h.node.routes, err = readRoutes(d.node, h.links.node.index); err != nil {
		return h, err
	}
	if h.node.neighbours, err = readNeighbours(d.node, h.links.node.index); err != nil {
		return h, err
	}
	h.node.settings, err = readSettings([]sysctl{ipv6Setting(e.hostLeg(), "accept_ra", "")})
	return h, err
}

func (h *have) readPod(s *socket, e *Endpoint) error {
	var err error
	if h.links.pod, err = readLink(s, e.Name); err != nil {
		return err
	}
	if e.HostLeg != nil {
		if h.links.peer, err = readLink(s, hostLegLink); err != nil {
			return err
		}
	}
	if h.addresses, err = addressesOf(s, h.links.pod); err != nil {
		return err
	}
	if h.routes, err = readRoutes(s, h.links.pod.index, h.links.peer.index); err != nil {
		return err
	}
	list, err := s.dump(listRules(0))
	if err != nil {
		return err
	}
	for _, data := range list {
		r, err := parseRule(data)
		if err != nil {
			return err
		}
		h.rules = append(h.rules, r)
	}
	if h.links.peer.index != 0 {
		if h.neighbours, err = readNeighbours(s, h.links.peer.index); err != nil {
			return err
		}
	}
	if err := h.readTraffic(s, e); err != nil {
		return err
	}
	h.settings, err = readSettings(e.settings())
	return err
}

// readLink reads a link by name; its index is 0 if there is none.
func readLink(s *socket, name string) (link, error) {
	answers, err := s.ask(getLink(name))
	if err != nil || answers[0] == nil {
		return link{}, err
	}
	return parseLink(answers[0])
}

// readRoutes reads the unicast routes by some links.
func readRoutes(s *socket, indexes ...int) ([]route, error) {
	list, err := s.dump(listRoutes(0))
	if err != nil {
		return nil, err
	}
	var routes []route
	for _, data := range list {
		r, ok, err := parseRoute(data)
		if err != nil {
			return nil, err
		}
		if ok && slices.Contains(indexes, r.index) {
			routes = append(routes, r)
		}
	}
	return routes, nil
}

// readNeighbours reads the permanent neighbours of a link.
func readNeighbours(s *socket, index int) ([]neighbour, error) {
	list, err := s.dump(listNeighbours(index))
	if err != nil {
		return nil, err
	}
	var neighbours []neighbour
	for _, data := range list {
		n, ok, err := parseNeighbour(data)
		if err != nil {
			return nil, err
		}
		if ok && n.index == index {
			neighbours = append(neighbours, n)
		}
	}
	return neighbours, nil
}

// readSettings reads the values of settings that exist.
func readSettings(wanted []sysctl) ([]sysctl, error) {
	var list []sysctl
	for _, s := range wanted {
		value, err := os.ReadFile(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a setting: %w", err)
		}
		list = append(list, sysctl{path: s.path, value: strings.TrimSpace(string(value))})
	}
	return list, nil
}

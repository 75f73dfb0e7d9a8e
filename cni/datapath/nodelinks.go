// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// NodeLink is a link of the node that could carry pods.
type NodeLink struct {
	Link
	// Up says whether it is administratively up.
	Up bool
	// Port says whether it is a port of a bridge or bond: it cannot carry pods then.
	Port bool
	// Addresses that the node itself has on it, except link-local ones and those that do not last.
	Addresses []netip.Addr
}

// NodeLinks lists the physical links of the node, by name, and those which stand for physical ones where the node itself is a container: they have one
// of the MACs.
func (d *Datapath) NodeLinks(macs []string) ([]NodeLink, error) {
	found, err := d.links(func(l *link) bool {
		mac := l.MAC.String()
		return l.carries(mac) && (l.kind == "" && !l.loopback || slices.Contains(macs, mac))
	})
	if err != nil {
		return nil, err
	}
	addresses, err := d.node.dump(listAddresses())
	if err != nil {
		return nil, err
	}
	byIndex := map[int]*NodeLink{}
	list := make([]NodeLink, len(found))
	for i, l := range found {
		list[i] = NodeLink{Link: l.public(), Up: l.up, Port: l.bridge != 0}
		byIndex[l.index] = &list[i]
	}
	for _, data := range addresses {
		a, err := parseAddress(data)
		if err != nil {
			return nil, err
		}
		if l := byIndex[a.index]; l != nil && a.lasting() && !a.Addr().IsLinkLocalUnicast() {
			l.Addresses = append(l.Addresses, a.Addr())
		}
	}
	slices.SortFunc(list, func(x, y NodeLink) int { return cmp.Compare(x.Name, y.Name) })
	return list, nil
}

// links of the node that match.
func (d *Datapath) links(matches func(l *link) bool) ([]link, error) {
	list, err := d.node.dump(listLinks())
	if err != nil {
		return nil, err
	}
	var found []link
	for _, data := range list {
		l, err := parseLink(data)
		if err != nil {
			return nil, err
		}
		if matches(&l) {
			found = append(found, l)
		}
	}
	return found, nil
}

// lasting says whether the node can be reached by the address for long: it is neither temporary (RFC 8981) nor out of use nor not yet in use.
func (a address) lasting() bool {
	const passing = unix.IFA_F_TEMPORARY | unix.IFA_F_DEPRECATED | unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED
	return a.flags&passing == 0
}

// BringUp brings up the node's interface with a MAC, with at least this MTU if that is not 0. The MTU is never lowered: the interface may be the node's
// own too, and pods have theirs. It says whether it changed anything. The error is a *MasterError where the interface is not there, or not fit.
func (d *Datapath) BringUp(mac string, mtu int) (changed bool, err error) {
	master, err := d.search(mac)
	if err != nil {
		return false, err
	}
	if mtu <= master.MTU {
		mtu = 0
	}
	switch {
	case mtu != 0 && master.maxMTU != 0 && mtu > master.maxMTU:
		return false, &MasterError{MAC: mac, Name: master.Name,
			Reason: fmt.Sprintf("allows an MTU of %d at most, and the network wants %d for its pods: lower spec.mtu of the UnderlayNetwork", master.maxMTU, mtu)}
	case master.up && mtu == 0:
		return false, nil
	}
	if err := d.node.do(linkUp(master, mtu)); err != nil {
		return false, fmt.Errorf("interface %s: %w", master.Name, err)
	}
	return true, nil
}

// Obstacles looks for what keeps pods from the node's links: children of theirs, in any namespace, that ipvlan in mode l2 cannot share a link with. The
// keys are MACs.
func (d *Datapath) Obstacles() (map[string]*MasterError, error) {
	masters, err := d.links(func(l *link) bool { return l.carries(l.MAC.String()) && !l.loopback })
	if err != nil {
		return nil, err
	}
	return d.obstacles(masters)
}

func (d *Datapath) obstacles(masters []link) (map[string]*MasterError, error) {
	found := map[string]*MasterError{}
	look := func(s *socket, path string, own bool) error {
		list, err := s.dump(listLinks())
		if err != nil {
			return err
		}
		for _, data := range list {
			l, err := parseLink(data)
			if err != nil {
				return err
			}
			for i := range masters {
				if reason := l.obstructs(&masters[i], own); reason != "" {
					mac := masters[i].MAC.String()
					found[mac] = &MasterError{MAC: mac, Name: masters[i].Name, Reason: reason + fmt.Sprintf(" (link %s in %s); remove it first, or choose another interface", l.Name, path)}
				}
			}
		}
		return nil
	}
	if err := look(d.node, "the node's namespace", true); err != nil {
		return nil, err
	}
	err := eachNamespace(func(n *Namespace, s *socket) error { return look(s, n.Path, false) })
	return found, err
}

// obstructs says why ipvlan in mode l2 cannot share the master with this link; empty if it can, or the link is not on the master.
func (l *link) obstructs(master *link, sameNamespace bool) string {
	child := l.parent == master.index && l.elsewhere != sameNamespace
	switch {
	case (l.kind == kindMacvlan || l.kind == kindMacvtap) && child:
		return "carries " + l.kind + ", which ipvlan cannot share a link with"
	case l.kind != kindIPVlan || !child && l.MAC.String() != master.MAC.String():
		return ""
	case l.mode != modeL2:
		return "carries ipvlan of another mode than l2, and a link has one mode for all"
	case l.flags != 0:
		return "carries ipvlan with the flag private or vepa, which keeps pods from each other"
	}
	return ""
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The steps of Apply, in order, as Options.After hears of them.
const (
	StepMaster       = "prepare the node's interface"
	StepFirewall     = "write the node's rules"
	StepInterface    = "create the interface"
	StepPair         = "create the host leg"
	StepGuard        = "guard the node's interface"
	StepSettings     = "set the pod's settings"
	StepTraffic      = "set filters and limits"
	StepAddresses    = "bring up the links and add addresses"
	StepRoutes       = "add routes"
	StepNodeSettings = "set the node's settings"
	StepNodeRoutes   = "add the node's routes"
)

// Apply makes the endpoint what it should be. When it fails, what it made is removed again, and what it found is left. Errors to tell apart are
// *AddressInUseError, *MasterError and *ForeignLinkError.
func (d *Datapath) Apply(n *Namespace, e Endpoint) (Links, error) {
	a := &application{Datapath: d, namespace: n, endpoint: &e}
	err := a.run()
	if err != nil {
		if undo := a.rollBack(); undo != nil {
			err = &LeftoverError{Err: err, Undo: undo}
		}
		return Links{}, err
	}
	found := Links{Pod: a.links.pod.public()}
	if e.HostLeg != nil {
		found.Host, found.Peer = a.links.node.public(), a.links.peer.public()
	}
	return found, nil
}

func (l link) public() Link { return Link{Name: l.Name, MAC: l.MAC.String(), MTU: l.MTU} }

// application is one call of Apply.
type application struct {
	*Datapath
	namespace *Namespace
	endpoint  *Endpoint
	mtu       int
	ends      nodeAddresses // the node's, of the host leg
	fresh     bool          // no pod was on the node's interface since boot
	links     links
	want      want // once all links are known
	// What this call has made.
	madeInterface, madePair, madeLimiter bool
}

func (a *application) run() error {
	if err := a.endpoint.validate(); err != nil {
		return err
	}
	done, err := a.firstOrLater()
	if err != nil {
		return err
	}
	defer done()
	if a.mtu, err = a.prepareMaster(&a.links.master, a.endpoint.MTU, a.fresh); err != nil {
		return err
	}
	if a.ends, err = a.inspectNode(a.endpoint); err != nil {
		return err
	}
	if err := a.options.After(StepMaster); err != nil {
		return err
	}
	if leg := a.endpoint.HostLeg; leg != nil {
		if err := applyFirewall(firewall{ends: a.ends, forward: leg.Forward}); err != nil {
			return err
		}
		if err := a.options.After(StepFirewall); err != nil {
			return err
		}
	}
	if err := a.createInterface(); err != nil {
		return err
	}
	if err := a.createPair(); err != nil {
		return err
	}
	if err := a.guard(); err != nil {
		return err
	}
	a.takeAnswers()
	if err := a.namespace.do(a.configurePod); err != nil {
		return err
	}
	return a.configureNode()
}

// validate refuses names that mean something else somewhere: "all" and "default" are not links in the kernel's settings, and of eth%d it makes another name.
func (e *Endpoint) validate() error {
	if slices.Contains([]string{"", ".", "..", "lo", "all", "default", hostLegLink}, e.Name) || len(e.Name) >= unix.IFNAMSIZ || strings.Contains(e.Name, "%") {
		return fmt.Errorf("a pod's interface cannot be called %q", e.Name)
	}
	if _, err := net.ParseMAC(e.MAC); err != nil {
		return fmt.Errorf("the MAC of the node's interface: %w", err)
	}
	if len(e.Addresses) == 0 {
		return fmt.Errorf("interface %s has no address", e.Name)
	}
	return nil
}

// createInterface makes the interface, or finds the one of an earlier call.
func (a *application) createInterface() error {
	err := a.node.do(newIPVlan(a.endpoint.Identity, a.links.master, a.mtu, a.namespace))
	if errors.Is(err, unix.EEXIST) {
		stale, readErr := a.findInterface()
		if readErr != nil || !stale {
			return readErr
		}
		if err := a.Remove(a.namespace, a.endpoint.Identity); err != nil {
			return err
		}
		err = a.node.do(newIPVlan(a.endpoint.Identity, a.links.master, a.mtu, a.namespace))
	}
	if err != nil {
		return explainBusy(a.links.master, err)
	}
	a.madeInterface = true
	if err := a.remember(a.links.master); err != nil { // ahead of anything that Remove looks for there
		return err
	}
	return a.options.After(StepInterface)
}

// findInterface looks at the link that has the interface's name already. It may be of the earlier call that this one repeats; one of ours on another
// master is stale, and others are somebody else's.
func (a *application) findInterface() (stale bool, err error) {
	var l link
	err = a.namespace.withSocket(func(s *socket) error {
		answers, err := s.ask(getLink(a.endpoint.Name))
		if err == nil && answers[0] != nil {
			l, err = parseLink(answers[0])
		}
		return err
	})
	switch {
	case err != nil:
		return false, err
	case l.kind != kindIPVlan || l.group != a.endpoint.group():
		return false, &ForeignLinkError{Namespace: a.namespace.Path, Name: a.endpoint.Name, Kind: l.kind}
	}
	return l.MAC.String() != a.links.master.MAC.String(), nil
}

// createPair makes the host leg, or finds that of an earlier call.
func (a *application) createPair() error {
	if a.endpoint.HostLeg == nil {
		return nil
	}
	err := a.node.do(newPair(a.endpoint.Identity, a.mtu, a.namespace))
	if errors.Is(err, unix.EEXIST) && a.madeInterface {
		// Its other end is not where the interface is: it is what a killed call left of an earlier sandbox.
		if err = a.node.do(deleteLink(a.endpoint.hostLeg())); err == nil {
			err = a.node.do(newPair(a.endpoint.Identity, a.mtu, a.namespace))
		}
	}
	switch {
	case errors.Is(err, unix.EEXIST):
	case err != nil:
		return err
	default:
		a.madePair = true
	}
	answers, err := a.node.ask(getLink(a.endpoint.hostLeg()))
	if err != nil {
		return err
	}
	if answers[0] == nil {
		return fmt.Errorf("network namespace %s has a link %s which is not of pod's host leg %s: remove it", a.namespace.Path, hostLegLink, a.endpoint.hostLeg())
	}
	if a.links.node, err = parseLink(answers[0]); err != nil {
		return err
	}
	return a.options.After(StepPair)
}

// configurePod runs on a thread in the pod's namespace.
func (a *application) configurePod() error {
	s, err := openSocket()
	if err != nil {
		return err
	}
	defer s.close()
	if err := a.readPod(s); err != nil {
		return err
	}
	a.want = a.endpoint.want(a.links, a.ends)
	w := a.want
	down := []*message{noGeneratedAddresses(a.links.pod)}
	up := []*message{linkUp(a.links.pod, a.mtu)}
	if a.endpoint.HostLeg != nil {
		down = append(down, noGeneratedAddresses(a.links.peer))
		up = append(up, linkUp(a.links.peer, a.mtu))
	}
	if err := s.do(down...); err != nil {
		return err
	}
	if err := set(w.settings); err != nil {
		return err
	}
	if err := a.options.After(StepSettings); err != nil {
		return err
	}
	if err := a.controlTraffic(s, w); err != nil {
		return err
	}
	if err := a.addAddresses(s, up, w); err != nil {
		return err
	}
	var messages []*message
	for _, n := range w.neighbours {
		messages = append(messages, n.message())
	}
	for _, r := range w.routes {
		messages = append(messages, setRoute(r))
	}
	for _, r := range w.rules {
		messages = append(messages, addRule(r))
	}
	if err := s.do(messages...); err != nil {
		return err
	}
	return a.options.After(StepRoutes)
}

// readPod reads the pod's links.
func (a *application) readPod(s *socket) error {
	messages := []*message{getLink(a.endpoint.Name)}
	if a.endpoint.HostLeg != nil {
		messages = append(messages, getLink(hostLegLink))
	}
	answers, err := s.ask(messages...)
	if err != nil {
		return err
	}
	for i, target := range []*link{&a.links.pod, &a.links.peer}[:len(messages)] {
		if answers[i] == nil {
			return fmt.Errorf("%s in %s: it is gone again: something else removes links there", messages[i].what(), a.namespace.Path)
		}
		if *target, err = parseLink(answers[i]); err != nil {
			return err
		}
	}
	if a.links.pod.flags != 0 {
		return privateError(a.links.master, "")
	}
	a.links.pod.MTU, a.links.peer.MTU, a.links.node.MTU = a.mtu, a.mtu, a.mtu
	return nil
}

// addAddresses brings up the links and gives the interface its addresses. Addresses of an earlier call are not added again: of its own IPv6 addresses
// too the kernel says that they are in use.
func (a *application) addAddresses(s *socket, messages []*message, w want) error {
	var has []netip.Prefix
	if !a.madeInterface {
		var err error
		if has, err = addressesOf(s, a.links.pod); err != nil {
			return err
		}
		for _, p := range has {
			if !slices.Contains(w.addresses, p) {
				messages = append(messages, deleteAddress(a.links.pod, p))
			}
		}
	}
	first := len(messages)
	var added []netip.Prefix
	for _, p := range w.addresses {
		if !slices.Contains(has, p) {
			messages = append(messages, addAddress(a.links.pod, p))
			added = append(added, p)
		}
	}
	err := s.do(messages...)
	if refusal, ok := errors.AsType[*MessageError](err); ok && refusal.Errno == unix.EADDRINUSE && refusal.index >= first {
		return &AddressInUseError{Address: added[refusal.index-first].Addr(), Where: fmt.Sprintf("on another ipvlan link of %s", a.links.master.Name)}
	}
	if err != nil {
		return err
	}
	return a.options.After(StepAddresses)
}

// addressesOf lists a link's addresses except link-local ones.
func addressesOf(s *socket, l link) ([]netip.Prefix, error) {
	list, err := s.dump(listAddresses())
	if err != nil {
		return nil, err
	}
	var prefixes []netip.Prefix
	for _, data := range list {
		a, err := parseAddress(data)
		if err != nil {
			return nil, err
		}
		if a.index == l.index && !a.Addr().IsLinkLocalUnicast() {
			prefixes = append(prefixes, a.Prefix)
		}
	}
	return prefixes, nil
}

// configureNode does the node's side of the host leg.
func (a *application) configureNode() error {
	if a.endpoint.HostLeg == nil {
		return nil
	}
	w := a.want.node
	if err := a.node.do(noGeneratedAddresses(a.links.node)); err != nil {
		return err
	}
	if err := set(w.settings); err != nil {
		return err
	}
	if err := a.options.After(StepNodeSettings); err != nil {
		return err
	}
	messages := []*message{linkUp(a.links.node, a.mtu)}
	for _, n := range w.neighbours {
		messages = append(messages, n.message())
	}
	for _, r := range w.routes {
		messages = append(messages, setRoute(r))
	}
	if err := a.node.do(messages...); err != nil {
		return err
	}
	return a.options.After(StepNodeRoutes)
}

// message sets the neighbour; its MAC is one that we wrote.
func (n neighbour) message() *message {
	mac, err := net.ParseMAC(n.mac)
	if err != nil {
		panic(err) // of macs, which makes them
	}
	return setNeighbour(n, mac)
}

// rollBack removes what this call has made.
func (a *application) rollBack() error {
	switch {
	case a.madeInterface:
		return errors.Join(a.Remove(a.namespace, a.endpoint.Identity), a.removeRules())
	case a.madePair:
		return errors.Join(a.node.do(deleteLink(a.endpoint.hostLeg())), a.removeLimiter())
	}
	return a.removeLimiter()
}

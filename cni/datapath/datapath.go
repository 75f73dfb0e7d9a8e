// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Options of a datapath.
type Options struct {
	// Folder for hints about the node's interfaces, /run/underlay: empty after a boot.
	Folder string
	// After is called when a step of Apply is done, with its name; an error makes the step fail. Tests set it; nil does nothing.
	After func(step string) error
}

// Datapath works on the network namespace of the node and those of its pods. It is for one user at a time.
type Datapath struct {
	options Options
	node    *socket
	// masters that were found, by MAC.
	masters map[string]link
}

// Open takes the calling thread's network namespace for the node's. While it is used the caller stays on threads of that namespace.
func Open(options Options) (*Datapath, error) {
	if options.After == nil {
		options.After = func(string) error { return nil }
	}
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	return &Datapath{options: options, node: s, masters: map[string]link{}}, nil
}

// Close gives back what the datapath uses; links stay.
func (d *Datapath) Close() { d.node.close() }

// nodeAddresses are the node's own ends of a host leg; one of them, or both, may be invalid.
type nodeAddresses struct{ ipv4, ipv6 netip.Addr }

func (n nodeAddresses) of(a netip.Addr) netip.Addr {
	if a.Is4() {
		return n.ipv4
	}
	return n.ipv6
}

// inspectNode chooses the node's addresses for the host leg among those that it really has, and makes sure that it has none of the pod's: the kernel
// accepts that, and nothing works then. (ec2-net-utils and NetworkManager's cloud setup add an interface's secondary addresses to the host.)
func (d *Datapath) inspectNode(e *Endpoint) (nodeAddresses, error) {
	list, err := d.node.dump(listAddresses())
	if err != nil {
		return nodeAddresses{}, err
	}
	has := map[netip.Addr]bool{}
	for _, data := range list {
		a, err := parseAddress(data)
		if err != nil {
			return nodeAddresses{}, err
		}
		has[a.Addr()] = true
	}
	for _, a := range e.Addresses {
		if has[a.Prefix.Addr()] {
			return nodeAddresses{}, &AddressInUseError{Address: a.Prefix.Addr(), Where: "by the node itself: keep the host's tools from adding it to the host's interface"}
		}
	}
	var chosen nodeAddresses
	if e.HostLeg == nil {
		return chosen, nil
	}
	for _, a := range e.HostLeg.Node {
		switch {
		case !has[a]:
		case a.Is4() && !chosen.ipv4.IsValid():
			chosen.ipv4 = a
		case a.Is6() && !chosen.ipv6.IsValid():
			chosen.ipv6 = a
		}
	}
	return chosen, nil
}

// sysctl is a kernel setting of the calling thread's network namespace.
type sysctl struct{ path, value string }

// set writes settings. Those of IPv6 are missing in a kernel without it.
func set(list []sysctl) error {
	for _, s := range list {
		fd, err := unix.Open(s.path, unix.O_WRONLY|unix.O_CLOEXEC, 0) // a file of package os would be made known to the scheduler's poller
		if errors.Is(err, unix.ENOENT) && strings.HasPrefix(s.path, "/proc/sys/net/ipv6/") {
			continue
		}
		if err == nil {
			_, err = unix.Write(fd, []byte(s.value))
			err = errors.Join(err, unix.Close(fd))
		}
		if err != nil {
			return fmt.Errorf("set %s to %s: %w", s.path, s.value, err)
		}
	}
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
)

// port is an ENI with its link in the router's namespace.
type port struct {
	ENI
	subnet *subnet
	link   string // its name
}

// Attach gives the namespace an ENI as a link of that name, which is down and without addresses, as a new ENI is.
func (f *Fabric) Attach(eni ENI, node *netns.Namespace, name string) error {
	return f.attach(eni, func(link string) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = link, MTU
		return f.links.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs,
			PeerName:  name, PeerMTU: MTU, PeerHardwareAddr: eni.MAC, PeerNamespace: netlink.NsFd(node.FD()),
		})
	})
}

// AttachTap returns an ENI as an open tap, for a virtual machine's network card with the ENI's MAC. The ENI is gone when the
// last copy of the tap is closed.
func (f *Fabric) AttachTap(eni ENI) (*os.File, error) {
	var tap *os.File
	err := f.attach(eni, func(link string) error {
		return f.router.Do(func() error {
			var err error
			tap, err = openTap(link)
			return err
		})
	})
	if err != nil && tap != nil {
		err = errors.Join(err, tap.Close())
	}
	return tap, err
}

// openTap makes a tap in the current namespace. Its frames carry a header for what the sender leaves to hardware.
func openTap(name string) (*os.File, error) {
	// Not os.OpenFile: the descriptor must stay in blocking mode until its heir chooses.
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	tap := os.NewFile(uintptr(fd), name)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, errors.Join(err, tap.Close())
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, errors.Join(fmt.Errorf("make the tap %s: %w", name, err), tap.Close())
	}
	return tap, nil
}

// attach makes a port of the link that add makes in the router's namespace.
func (f *Fabric) attach(eni ENI, add func(link string) error) error {
	if err := f.attachNew(eni, add); err != nil {
		return fmt.Errorf("attach ENI %s: %w", eni.Name, err)
	}
	return nil
}

func (f *Fabric) attachNew(eni ENI, add func(link string) error) error {
	s, err := f.subnet(eni.Subnet)
	if err != nil {
		return err
	}
	for _, other := range f.ports {
		if other.Name == eni.Name || slices.Equal(other.MAC, eni.MAC) {
			return fmt.Errorf("ENI %s has the same name or MAC", other.Name)
		}
	}
	f.created++
	p := &port{ENI: eni, subnet: s, link: fmt.Sprintf("port%d", f.created)}
	bound := p.Bound
	p.Bound = nil
	if err := add(p.link); err != nil {
		return err
	}
	f.ports = append(f.ports, p)
	if err := f.connect(p, bound); err != nil {
		return errors.Join(err, f.Detach(p.Name))
	}
	return nil
}

// connect makes the new link a port of its subnet.
func (f *Fabric) connect(p *port, bound []netip.Prefix) error {
	if err := f.router.Set("net.ipv6.conf."+p.link+".disable_ipv6", "1"); err != nil {
		return err
	}
	link, err := f.links.LinkByName(p.link)
	if err != nil {
		return err
	}
	if err := f.links.LinkSetMTU(link, MTU); err != nil {
		return fmt.Errorf("set the MTU: %w", err)
	}
	if err := f.links.LinkSetMaster(link, p.subnet.bridge); err != nil {
		return fmt.Errorf("put it on the bridge: %w", err)
	}
	station := &netlink.Neigh{
		LinkIndex: link.Attrs().Index, Family: unix.AF_BRIDGE, HardwareAddr: p.MAC,
		State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER,
	}
	if err := f.links.NeighSet(station); err != nil {
		return fmt.Errorf("tell the bridge its MAC: %w", err)
	}
	if err := f.setSwitching(p, !f.filter.on); err != nil {
		return err
	}
	if err := f.filter.addPort(p); err != nil {
		return err
	}
	if err := f.Bind(p.Name, bound...); err != nil {
		return err
	}
	if err := f.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring it up: %w", err)
	}
	return nil
}

// setSwitching says whether the port takes part in learning and flooding, as an ordinary switch's does.
func (f *Fabric) setSwitching(p *port, on bool) error {
	link, err := f.links.LinkByName(p.link)
	if err != nil {
		return err
	}
	if err := f.links.LinkSetLearning(link, on); err != nil {
		return fmt.Errorf("set learning: %w", err)
	}
	if err := f.links.LinkSetFlood(link, on); err != nil {
		return fmt.Errorf("set flooding: %w", err)
	}
	return nil
}

// Detach takes the ENI from its node, at once and whatever it carries.
func (f *Fabric) Detach(eni string) error {
	p, err := f.port(eni)
	if err != nil {
		return err
	}
	if err := f.detach(p); err != nil {
		return fmt.Errorf("detach ENI %s: %w", eni, err)
	}
	return nil
}

func (f *Fabric) detach(p *port) error {
	if err := f.Unbind(p.Name, slices.Clone(p.Bound)...); err != nil {
		return err
	}
	if err := f.filter.removePort(p); err != nil {
		return err
	}
	f.ports = slices.DeleteFunc(f.ports, func(other *port) bool { return other == p })
	link, err := f.links.LinkByName(p.link)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return nil // with its node, or with the last copy of its tap
	}
	if err != nil {
		return err
	}
	if err := f.links.LinkDel(link); !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil // gone just now
}

func (f *Fabric) port(eni string) (*port, error) {
	for _, p := range f.ports {
		if p.Name == eni {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no ENI %s", eni)
}

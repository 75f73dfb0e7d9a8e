// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/datapath"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// The settings below are all that the agent ever writes. Pods' host legs lead to the node, which forwards what is bound for services.
//
//	net.ipv4.ip_forward = 1                   when a network with host legs has IPv4 pools here
//	net.ipv6.conf.all.forwarding = 1          when a network with host legs has IPv6 pools here
//	net.ipv6.conf.LINK.accept_ra = 2          before the latter, where it is 1 and the link's default route came by router advertisement: else the
//	                                          kernel would drop that route, and take no other
//	net.ipv6.conf.LINK.accept_ra = 0          for an interface of a pool before the agent brings it up: else the host would get a second default route
//	net.ipv4.conf.lo.rp_filter = 2            where strict checks of sources (1) are in force on lo: what pods answer by the host leg is taken in there

// set makes the machine forward, if pods need it.
func (h *Host) set(file *nodefile.File) error {
	var errs []error
	if forwards(file, nodefile.IPv4) {
		errs = append(errs, h.setting("net/ipv4/ip_forward", "1"), h.loosenLoopback())
	}
	if forwards(file, nodefile.IPv6) && h.hasIPv6() {
		errs = append(errs, h.keepDefaultRoutes(), h.setting("net/ipv6/conf/all/forwarding", "1"))
	}
	return errors.Join(errs...)
}

// forwards says whether pods with an address of the family have host legs.
func forwards(file *nodefile.File, family nodefile.Family) bool {
	for _, p := range file.Pools {
		if n := file.Network(p.Network); n != nil && n.HostLeg.Enabled && p.Family == family {
			return true
		}
	}
	return false
}

func (h *Host) loosenLoopback() error {
	changed, err := datapath.LoosenLoopback(h.paths.Sysctl)
	if changed && err == nil {
		h.log.Info("changed a setting of the host", "name", "net.ipv4.conf.lo.rp_filter", "new", "2")
	}
	return err
}

func (h *Host) hasIPv6() bool {
	_, err := os.Stat(filepath.Join(h.paths.Sysctl, "net/ipv6"))
	return !errors.Is(err, fs.ErrNotExist)
}

// keepDefaultRoutes lets links go on accepting router advertisements when the machine forwards. Links on which the kernel does not handle them are left
// alone: something else does, such as systemd-networkd.
func (h *Host) keepDefaultRoutes() error {
	routes, err := advertisedRoutes()
	if err != nil {
		return fmt.Errorf("list the routes by router advertisement: %w", err)
	}
	var errs []error
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones != 0 {
				continue
			}
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			continue // gone meanwhile
		}
		path := acceptRA(link.Attrs().Name)
		if value, err := h.read(path); err == nil && value == "1" {
			errs = append(errs, h.setting(path, "2"))
		}
	}
	return errors.Join(errs...)
}

// advertisedRoutes lists the IPv6 routes that the kernel made of router advertisements. Lists that changed meanwhile are asked for again.
func advertisedRoutes() (routes []netlink.Route, err error) {
	filter := &netlink.Route{Table: unix.RT_TABLE_MAIN, Protocol: unix.RTPROT_RA}
	const tries = 20
	for range tries {
		routes, err = netlink.RouteListFiltered(netlink.FAMILY_V6, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return routes, err
}

func acceptRA(link string) string {
	return "net/ipv6/conf/" + link + "/accept_ra"
}

func (h *Host) read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(h.paths.Sysctl, name))
	return strings.TrimSpace(string(content)), err
}

// setting writes a setting, unless it has the value already.
func (h *Host) setting(name, value string) error {
	old, err := h.read(name)
	if err == nil && old == value {
		return nil
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.paths.Sysctl, name), []byte(value), 0)
	}
	if err != nil {
		return fmt.Errorf("set %s to %s: %w", strings.ReplaceAll(name, "/", "."), value, err)
	}
	h.log.Info("changed a setting of the host", "name", strings.ReplaceAll(name, "/", "."), "old", old, "new", value)
	return nil
}

// bringUp brings up the interfaces of pools, with the MTU that networks want.
func (h *Host) bringUp(file *nodefile.File) error {
	d, err := h.datapath()
	if err != nil {
		return err
	}
	defer d.Close()
	links, err := d.NodeLinks(macs(file))
	if err != nil {
		return err
	}
	var errs []error
	for _, mac := range macs(file) {
		for _, l := range links {
			if l.MAC == mac && !l.Up && h.hasIPv6() {
				errs = append(errs, h.setting(acceptRA(l.Name), "0"))
			}
		}
		mtu := wantedMTU(file, mac)
		changed, err := d.BringUp(mac, mtu)
		if changed {
			h.log.Info("brought up an interface of pods", "mac", mac, "mtu", mtu)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// wantedMTU is the largest that a network wants of the interface; 0 for its own.
func wantedMTU(file *nodefile.File, mac string) int {
	mtu := 0
	for _, p := range file.Pools {
		if n := file.Network(p.Network); n != nil && p.Interface.MAC == mac {
			mtu = max(mtu, n.MTU)
		}
	}
	return mtu
}

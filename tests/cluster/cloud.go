// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/ec2sim"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric"
	"github.com/underlay-dev/kubectl-underlay/tests/fabric/netns"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Ports of the router's address in the first subnet.
const (
	apiPort = 6443
	ec2Port = 8773
)

// startCloud makes the VPC with the nodes' ENIs, the EC2 simulator, and a web server in the internet.
func (c *Cluster) startCloud() error {
	var subnets []fabric.Subnet
	for _, s := range c.options.Inventory.Subnets {
		subnets = append(subnets, fabric.Subnet{Name: s.ID, IPv4: s.CIDR, IPv6: s.IPv6CIDR})
	}
	var err error
	if c.Fabric, err = fabric.New(subnets...); err != nil {
		return err
	}
	c.onClose(c.Fabric.Close)
	c.wires = &wires{fabric: c.Fabric, bound: map[string][]netip.Prefix{}}
	for _, node := range c.options.Inventory.Nodes {
		n, err := c.newNode(node)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	if c.EC2, err = ec2sim.New(c.options.Inventory, ec2sim.OnChange(c.wires.follow)); err != nil {
		return err
	}
	c.onClose(func() error { c.EC2.Close(); return nil })
	if err := c.wires.failure(); err != nil {
		return err
	}
	address, stop, err := relay(
		end{c.Fabric.Router(), fmt.Sprintf("%s:%d", c.address(), ec2Port)},
		end{netns.Here(), strings.TrimPrefix(c.EC2.URL(), "http://")})
	if err != nil {
		return fmt.Errorf("let nodes reach EC2: %w", err)
	}
	c.onClose(stop)
	c.EC2URL = "http://" + address.String()
	return c.serveOutside()
}

// attach makes the taps of a node's interfaces, in the order of its network cards.
func (w *wires) attach(node v1alpha1.Node) (_ []vm.NIC, err error) {
	var nics []vm.NIC
	for _, nic := range node.Interfaces {
		mac, err := net.ParseMAC(nic.MACAddress)
		if err != nil {
			return nil, fmt.Errorf("interface %s of node %s: %w", nic.ID, node.Name, err)
		}
		tap, err := w.fabric.AttachTap(fabric.ENI{Name: nic.ID, Subnet: nic.SubnetID, MAC: mac})
		if err != nil {
			return nil, err
		}
		w.bound[nic.ID] = nil
		nics = append(nics, vm.NIC{Tap: tap, MAC: mac, MTU: fabric.MTU})
	}
	return nics, nil
}

// wires bind to the VPC's ENIs what EC2 says that they have.
type wires struct {
	fabric *fabric.Fabric

	mu    sync.Mutex // guards what follows
	bound map[string][]netip.Prefix
	err   error // the first of following
}

// follow makes the VPC like the world. What is taken away goes first, for it may have gone to another ENI.
func (w *wires) follow(world *ec2sim.World) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := map[string][]netip.Prefix{}
	for eni := range w.bound {
		if nic := world.Interfaces[eni]; nic != nil && nic.InstanceID != "" {
			wanted[eni] = prefixesOf(nic.Interface)
		}
	}
	for eni, bound := range w.bound {
		gone := without(bound, wanted[eni])
		w.err = errors.Join(w.err, w.fabric.Unbind(eni, gone...))
		w.bound[eni] = without(bound, gone)
	}
	for eni, bound := range w.bound {
		added := without(wanted[eni], bound)
		err := w.fabric.Bind(eni, added...)
		if err == nil {
			w.bound[eni] = append(w.bound[eni], added...)
		}
		w.err = errors.Join(w.err, err)
	}
}

// failure returns what could not be bound or unbound since the last call.
func (w *wires) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.err
	w.err = nil
	return err
}

func prefixesOf(nic v1alpha1.Interface) []netip.Prefix {
	prefixes := slices.Concat(nic.IPv4Prefixes, nic.IPv6Prefixes)
	for _, address := range slices.Concat([]netip.Addr{nic.PrimaryIPv4, nic.PrimaryIPv6}, nic.SecondaryIPv4, nic.SecondaryIPv6) {
		if address.IsValid() {
			prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
		}
	}
	return prefixes
}

// without returns those of the first list that are not in the second.
func without(list, out []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return slices.Contains(out, p) })
}

// AssignPrefix assigns a prefix to an interface of the node, as somebody else would by EC2's console.
func (c *Cluster) AssignPrefix(node string, deviceIndex int, prefix netip.Prefix) error {
	return c.changePrefixes(node, deviceIndex, prefix, func(list []netip.Prefix) []netip.Prefix { return append(list, prefix) })
}

// UnassignPrefix takes a prefix from an interface of the node.
func (c *Cluster) UnassignPrefix(node string, deviceIndex int, prefix netip.Prefix) error {
	return c.changePrefixes(node, deviceIndex, prefix, func(list []netip.Prefix) []netip.Prefix {
		return without(list, []netip.Prefix{prefix})
	})
}

func (c *Cluster) changePrefixes(node string, deviceIndex int, prefix netip.Prefix, change func([]netip.Prefix) []netip.Prefix) error {
	id := ""
	for _, n := range c.options.Inventory.Nodes {
		for _, nic := range n.Interfaces {
			if n.Name == node && int(nic.DeviceIndex) == deviceIndex && nic.NetworkCardIndex == 0 {
				id = nic.ID
			}
		}
	}
	err := c.EC2.Update(func(w *ec2sim.World) error {
		nic := w.Interfaces[id]
		switch {
		case nic == nil:
			return fmt.Errorf("node %s has no interface with device index %d", node, deviceIndex)
		case prefix.Addr().Is4():
			nic.IPv4Prefixes = change(nic.IPv4Prefixes)
		default:
			nic.IPv6Prefixes = change(nic.IPv6Prefixes)
		}
		return nil
	})
	return errors.Join(err, c.wires.failure())
}

// serveOutside starts a web server in the internet that tells its clients by which address it sees them.
func (c *Cluster) serveOutside() error {
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			fmt.Fprintln(w, host)
		}),
	}
	for _, address := range fabric.OutsideAddresses() {
		listener, err := listen(end{c.Fabric.Outside(), netip.AddrPortFrom(address, 80).String()})
		if err != nil {
			return fmt.Errorf("serve the internet: %w", err)
		}
		go server.Serve(listener) //nolint:errcheck // it always ends with ErrServerClosed
	}
	c.onClose(server.Close)
	return nil
}

// OutsideURLs are a web server's in the internet, by IPv4 and IPv6, which answers with the address that it sees.
func (c *Cluster) OutsideURLs() []string {
	var urls []string
	for _, address := range fabric.OutsideAddresses() {
		urls = append(urls, "http://"+netip.AddrPortFrom(address, 80).String()+"/")
	}
	return urls
}

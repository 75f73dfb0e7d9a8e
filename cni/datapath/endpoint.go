// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"net"
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// LinkPrefix starts the name of each host leg's end on the node, and of no other link.
const LinkPrefix = "ulay"

// hostLegLink is the name of a host leg's end in the pod: a pod has one at most.
const hostLegLink = "host0"

// Identity says whose interface it is. Names, MACs and numbers of all that is made for it follow from it, so it can be found again without any record.
type Identity struct {
	// Container is the sandbox's id, as the runtime gives it.
	Container string
	// Name of the interface in the pod.
	Name string
}

// Endpoint is the desired state of one interface of a pod.
type Endpoint struct {
	Identity
	// MAC of the node's interface that carries it, in lower case.
	MAC string
	// MTU in bytes; 0 takes that of the node's interface.
	MTU int
	// Addresses, one of each family at most.
	Addresses []Address
	// Routes by this interface besides the default routes.
	Routes []Route
	// Primary interfaces have the pod's default routes. Others have a routing table of their own, for what comes from their addresses.
	Primary bool
	// HostLeg of the pod; nil for none.
	HostLeg *HostLeg
	// Bandwidth limits; the zero value has none.
	Bandwidth Bandwidth
	// BlockMetadata keeps the pod from the instance metadata service.
	BlockMetadata bool
}

// Address of a pod.
type Address struct {
	// Prefix is the address with its subnet's mask.
	Prefix netip.Prefix
	// Gateway of the default route: in the subnet, or link-local.
	Gateway netip.Addr
}

// Reaches says whether the kernel takes routes by a gateway from what has the address.
func (a Address) Reaches(gateway netip.Addr) bool {
	return gateway != a.Prefix.Addr() && iprange.FromPrefix(a.Prefix).Reaches(gateway)
}

// Route inside a pod.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr
}

// HostLeg is the desired state of a pod's second leg, a veth pair to its own node.
type HostLeg struct {
	// Node lists the node's addresses. The first of each family that the node really has is the pod's neighbour, and the source of what the node
	// itself sends to the pod. A family without one has no host leg.
	Node []netip.Addr
	// CIDRs reached by it besides Node.
	CIDRs []netip.Prefix
	// Forward lists where any pod of the node may go by its host leg without being translated: the CIDRs of all networks.
	Forward []netip.Prefix
	// Pods are all addresses on the node's interface that pods with host legs may have.
	Pods []netip.Prefix
}

// Links is what Apply made or found.
type Links struct {
	// Pod is the interface, Host the host leg's end on the node (without name if there is none), Peer its end in the pod.
	Pod, Host, Peer Link
}

// Link is one link.
type Link struct {
	Name string
	MAC  string
	MTU  int
}

// hostLeg is the name of a host leg's end on the node: at most 15 characters. Eleven of them are 55 bits: for two of a node's pods to share a name takes
// a hundred million pods at once.
func (i Identity) hostLeg() string {
	const alphabet, bits = "abcdefghijklmnopqrstuvwxyz234567", 5 // base32's
	sum := i.sum()
	name := []byte(LinkPrefix + "xxxxxxxxxxx")
	rest := binary.BigEndian.Uint64(sum[:])
	for at := len(LinkPrefix); at < len(name); at++ {
		name[at] = alphabet[rest>>(64-bits)]
		rest <<= bits
	}
	return string(name)
}

// macs of a host leg's ends. They are fixed at creation, or systemd's MACAddressPolicy changes them; and known, so that neighbours can be permanent.
// 0x5e and 0x7e are local unicast, and not what clouds start theirs with (02, 06, 0a, 0e).
func (i Identity) macs() (node, pod net.HardwareAddr) {
	sum := i.sum()
	node = append(net.HardwareAddr{0x5e}, sum[:5]...)
	pod = append(net.HardwareAddr{0x7e}, sum[:5]...)
	return node, pod
}

// group of an interface's links in its pod: of no other sandbox, so that a late call for an earlier one at the same path removes nothing of the present
// one. Other software uses small numbers, if any.
func (i Identity) group() uint32 {
	sum := i.sum()
	return 0x75000000 | binary.BigEndian.Uint32(sum[:])>>8
}

func (i Identity) sum() [sha256.Size]byte {
	return sha256.Sum256([]byte(i.Container + "\x00" + i.Name))
}

// index of an interface in its pod: far above those that kernels give, and the same for the same name. It is also the number of its routing table.
func (i Identity) index() int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(i.Name)) // never fails
	return 1<<20 | int(h.Sum32()>>12)
}

// hostLegTable is the number of the routing table for the host leg.
func (i Identity) hostLegTable() int { return 1<<20 + i.index() }

// hasFamily says whether the endpoint has an address of the family.
func (e *Endpoint) hasFamily(is6 bool) bool {
	for _, a := range e.Addresses {
		if a.Prefix.Addr().Is6() == is6 {
			return true
		}
	}
	return false
}

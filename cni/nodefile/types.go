// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// Version of the schema that this package reads and writes.
const Version = 1

// File is the content of the node file.
type File struct {
	// Version of the schema; Write sets it.
	Version int `json:"version"`
	// Writer is the program that wrote the file and its version, such as "underlay-agent v0.3.0": for messages alone.
	Writer string `json:"writer"`
	// Node is the node that the file is for.
	Node Node `json:"node"`
	// Networks that carry pods on this node, by name.
	Networks []Network `json:"networks"`
	// Pools of this node, by name.
	Pools []Pool `json:"pools"`
}

// Node identifies the node that a file is for.
type Node struct {
	// Name of the Node object.
	Name string `json:"name"`
	// UID of the Node object: a node that was deleted and registered again is another one.
	UID string `json:"uid"`
	// ProviderID of the machine, such as aws:///ap-southeast-1a/i-0c4e; may be empty.
	ProviderID string `json:"providerID"`
	// Addresses that the node itself has, primary addresses of its interfaces among them: no pod gets one, and the host leg leads to them.
	Addresses []netip.Addr `json:"addresses"`
}

// Network is what the CNI must know of an UnderlayNetwork.
type Network struct {
	// Name of the UnderlayNetwork: a DNS label of at most 40 characters.
	Name string `json:"name"`
	// Default: the network is also the node's default CNI configuration. At most one network is.
	Default bool `json:"default"`
	// MTU of pod interfaces in bytes, 1280 to 9216; 0 takes that of the node's interface.
	MTU int `json:"mtu"`
	// HostLeg of the pods.
	HostLeg HostLeg `json:"hostLeg"`
	// Routes that each pod gets besides its default routes.
	Routes []Route `json:"routes"`
	// CooldownSeconds is how long a released address rests before reuse, 0 to 3600.
	CooldownSeconds int `json:"cooldownSeconds"`
	// AllowedNamespaces may use the network; empty means all.
	AllowedNamespaces []string `json:"allowedNamespaces"`
	// RequestedIPs says whether pods may ask for certain addresses.
	RequestedIPs RequestedIPs `json:"requestedIPs"`
	// MetadataService says which pods reach the instance metadata service.
	MetadataService MetadataService `json:"metadataService"`
}

// HostLeg configures the pods' second leg, to their own node.
type HostLeg struct {
	// Enabled gives pods a host leg.
	Enabled bool `json:"enabled"`
	// CIDRs reached by it besides Node.Addresses: the service CIDRs, and what the network's hostAccess adds.
	CIDRs []netip.Prefix `json:"cidrs"`
}

// Route is a route inside a pod.
type Route struct {
	// Destination network, without host bits.
	Destination netip.Prefix `json:"destination"`
	// Gateway of the same family.
	Gateway netip.Addr `json:"gateway"`
}

// RequestedIPs says whether pods may ask for certain addresses.
type RequestedIPs string

// The answers to a pod that asks.
const (
	RequestedIPsDeny  RequestedIPs = "Deny"
	RequestedIPsAllow RequestedIPs = "Allow"
)

// MetadataService says which pods reach the instance metadata service.
type MetadataService struct {
	// Mode for all namespaces but ExceptNamespaces, which are treated the other way round.
	Mode             MetadataMode `json:"mode"`
	ExceptNamespaces []string     `json:"exceptNamespaces"`
}

// MetadataMode blocks or allows the instance metadata service.
type MetadataMode string

// The modes of the metadata service.
const (
	MetadataBlock MetadataMode = "Block"
	MetadataAllow MetadataMode = "Allow"
)

// Pool is the addresses of one network, interface and family.
type Pool struct {
	// Name of the UnderlayPool.
	Name string `json:"name"`
	// Generation of the UnderlayPool that this was written from; the agent reports it as observed.
	Generation int64 `json:"generation"`
	// Network that the pool serves: the name of one of File.Networks.
	Network string `json:"network"`
	// Interface that holds the addresses.
	Interface Interface `json:"interface"`
	// Family of all addresses.
	Family Family `json:"ipFamily"`
	// Subnet of the interface: a pod's mask comes from it.
	Subnet netip.Prefix `json:"subnet"`
	// Gateway in the subnet, or link-local.
	Gateway netip.Addr `json:"gateway"`
	// Ranges of the pool, all inside the subnet; at most 128.
	Ranges Ranges `json:"ranges"`
	// Exclude lists addresses that no pod gets; those of the other family are allowed here and mean nothing.
	Exclude Ranges `json:"exclude"`
	// Draining ranges hand out nothing more.
	Draining Ranges `json:"draining"`
	// Allocation says whether the pool hands out addresses at all.
	Allocation Allocation `json:"allocation"`
}

// Interface is an interface of the node; its link is the physical one with this MAC.
type Interface struct {
	// ID in the cloud, such as eni-0c4e; may be empty.
	ID string `json:"id"`
	// MAC in lower case with colons.
	MAC string `json:"macAddress"`
	// DeviceIndex and NetworkCardIndex are the position at which the interface is attached.
	DeviceIndex      int `json:"deviceIndex"`
	NetworkCardIndex int `json:"networkCardIndex"`
}

// String names the interface as people know it.
func (i Interface) String() string {
	if i.ID != "" {
		return i.ID
	}
	return "interface " + i.MAC
}

// Family is an address family.
type Family string

// The address families.
const (
	IPv4 Family = "IPv4"
	IPv6 Family = "IPv6"
)

// FamilyOf is the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// Allocation says whether a pool hands out addresses.
type Allocation string

// The states of allocation.
const (
	AllocationEnabled Allocation = "Enabled"
	// AllocationDisabled hands out nothing more; releases still work. Pools that lost to an overlapping one are written so.
	AllocationDisabled Allocation = "Disabled"
)

// Ranges is a list of ranges, each written as a CIDR, first-last, or one address.
type Ranges []iprange.Range

// ParseRanges reads ranges as the API writes them.
func ParseRanges[S ~string](list []S) (Ranges, error) {
	ranges := make(Ranges, len(list))
	for i, s := range list {
		r, err := iprange.Parse(string(s))
		if err != nil {
			return nil, err
		}
		ranges[i] = r
	}
	return ranges, nil
}

// Strings writes the ranges as the API does.
func (r Ranges) Strings() []string {
	list := make([]string, len(r))
	for i := range r {
		list[i] = r[i].String()
	}
	return list
}

// MarshalJSON writes a list of strings.
func (r Ranges) MarshalJSON() ([]byte, error) {
	for _, one := range r {
		if !one.IsValid() {
			return nil, fmt.Errorf("range %s-%s is empty", one.First, one.Last)
		}
	}
	return json.Marshal(r.Strings())
}

// UnmarshalJSON reads a list of strings.
func (r *Ranges) UnmarshalJSON(data []byte) error {
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	ranges, err := ParseRanges(list)
	*r = ranges
	return err
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"math"
	"net/netip"

	"github.com/underlay-dev/kubectl-underlay/cni/plainjson"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// decodePlain reads what Encode writes, in a tenth of encoding/json's time; false for all that is not plain, see plainjson.
func decodePlain(data []byte) (*File, bool) {
	f := &File{}
	r := reader{plainjson.NewReader(data)}
	r.Object(func(key []byte) {
		switch string(key) {
		case "version":
			f.Version = r.int()
		case "writer":
			f.Writer = r.String()
		case "node":
			f.Node = r.node()
		case "networks":
			f.Networks = plainjson.List(r.Reader, r.network)
		case "pools":
			f.Pools = plainjson.List(r.Reader, r.pool)
		default:
			r.Decline()
		}
	})
	return f, r.Done()
}

// reader has a function for each type.
type reader struct{ *plainjson.Reader }

func (r reader) int() int { return int(r.Int(math.MinInt, math.MaxInt)) }

func (r reader) strings() []string { return plainjson.List(r.Reader, r.String) }

func (r reader) address() (a netip.Addr) {
	r.Text(&a)
	return a
}

func (r reader) prefix() (p netip.Prefix) {
	r.Text(&p)
	return p
}

func (r reader) ranges() Ranges {
	list := plainjson.List(r.Reader, func() iprange.Range {
		one, err := iprange.Parse(r.String())
		if err != nil {
			r.Decline()
		}
		return one
	})
	if list == nil {
		list = Ranges{} // as UnmarshalJSON has it
	}
	return list
}

func (r reader) node() (n Node) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "name":
			n.Name = r.String()
		case "uid":
			n.UID = r.String()
		case "providerID":
			n.ProviderID = r.String()
		case "addresses":
			n.Addresses = plainjson.List(r.Reader, r.address)
		default:
			r.Decline()
		}
	})
	return n
}

func (r reader) network() (n Network) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "name":
			n.Name = r.String()
		case "default":
			n.Default = r.Bool()
		case "mtu":
			n.MTU = r.int()
		case "hostLeg":
			n.HostLeg = r.hostLeg()
		case "routes":
			n.Routes = plainjson.List(r.Reader, r.route)
		case "cooldownSeconds":
			n.CooldownSeconds = r.int()
		case "allowedNamespaces":
			n.AllowedNamespaces = r.strings()
		case "requestedIPs":
			n.RequestedIPs = RequestedIPs(r.String())
		case "metadataService":
			n.MetadataService = r.metadataService()
		default:
			r.Decline()
		}
	})
	return n
}

func (r reader) hostLeg() (h HostLeg) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "enabled":
			h.Enabled = r.Bool()
		case "cidrs":
			h.CIDRs = plainjson.List(r.Reader, r.prefix)
		default:
			r.Decline()
		}
	})
	return h
}

func (r reader) route() (x Route) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "destination":
			x.Destination = r.prefix()
		case "gateway":
			x.Gateway = r.address()
		default:
			r.Decline()
		}
	})
	return x
}

func (r reader) metadataService() (m MetadataService) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "mode":
			m.Mode = MetadataMode(r.String())
		case "exceptNamespaces":
			m.ExceptNamespaces = r.strings()
		default:
			r.Decline()
		}
	})
	return m
}

func (r reader) pool() (p Pool) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "name":
			p.Name = r.String()
		case "generation":
			p.Generation = r.Int(math.MinInt64, math.MaxInt64)
		case "network":
			p.Network = r.String()
		case "interface":
			p.Interface = r.nic()
		case "ipFamily":
			p.Family = Family(r.String())
		case "subnet":
			p.Subnet = r.prefix()
		case "gateway":
			p.Gateway = r.address()
		case "ranges":
			p.Ranges = r.ranges()
		case "exclude":
			p.Exclude = r.ranges()
		case "draining":
			p.Draining = r.ranges()
		case "allocation":
			p.Allocation = Allocation(r.String())
		default:
			r.Decline()
		}
	})
	return p
}

func (r reader) nic() (i Interface) {
	r.Object(func(key []byte) {
		switch string(key) {
		case "id":
			i.ID = r.String()
		case "macAddress":
			i.MAC = r.String()
		case "deviceIndex":
			i.DeviceIndex = r.int()
		case "networkCardIndex":
			i.NetworkCardIndex = r.int()
		default:
			r.Decline()
		}
	})
	return i
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// candidate is an interface of the node that has a pool of each family wanted, in the order of the families.
type candidate struct {
	mac   string
	pools []*nodefile.Pool
	// room is how many more pods the interface could take; known when there is a choice.
	room int64
}

// candidates lists the interfaces that could serve the request, best first, and says why the machine does not have others.
func (a *allocator) candidates() (list []candidate, absent []string, err error) {
	families := a.req.Families
	if len(families) == 0 {
		families = a.node.Families(a.req.Network)
	}
	if len(families) == 0 {
		return nil, nil, refuse("network %s has no pool on node %s: no interface there carries addresses for it, which `kubectl underlay check` explains", a.req.Network, a.node.Node.Name)
	}
	var partial []string
	for _, c := range interfacesOf(a.node, a.req.Network) {
		name := c.pools[0].Interface.String()
		if a.req.Missing != nil {
			if err := a.req.Missing(c.mac); err != nil {
				absent = append(absent, fmt.Sprintf("%s: %v", name, err))
				continue
			}
		}
		pools := ofFamilies(c.pools, families)
		if pools == nil {
			partial = append(partial, fmt.Sprintf("%s has %s alone", name, c.pools[0].Family))
			continue
		}
		list = append(list, candidate{mac: c.mac, pools: pools})
	}
	if len(list) == 0 && len(absent) == 0 {
		return nil, nil, refuse("network %s has no interface on node %s with %s: %s; a pod's addresses are all of one interface", a.req.Network, a.node.Node.Name, join(families), strings.Join(partial, ", "))
	}
	if list, err = a.thatHaveWanted(list); err != nil {
		return nil, nil, err
	}
	if len(list) > 1 {
		for i := range list {
			if list[i].room, err = a.roomOf(list[i]); err != nil {
				return nil, nil, err
			}
		}
		slices.SortStableFunc(list, byRoom)
	}
	// The interface whose addresses the owner has in part comes first.
	if i := slices.IndexFunc(list, func(c candidate) bool { return c.mac == a.keepMAC }); i > 0 {
		kept := list[i]
		list = slices.Insert(slices.Delete(list, i, i+1), 0, kept)
	}
	return list, absent, nil
}

// interfacesOf groups a network's pools by interface.
func interfacesOf(node *nodefile.File, network string) []candidate {
	var list []candidate
	for _, p := range node.PoolsOf(network) {
		i := slices.IndexFunc(list, func(c candidate) bool { return c.mac == p.Interface.MAC })
		if i < 0 {
			i = len(list)
			list = append(list, candidate{mac: p.Interface.MAC})
		}
		list[i].pools = append(list[i].pools, p)
	}
	return list
}

// ofFamilies puts pools in the order of families; nil if one lacks.
func ofFamilies(pools []*nodefile.Pool, families []nodefile.Family) []*nodefile.Pool {
	list := make([]*nodefile.Pool, len(families))
	for i, family := range families {
		j := slices.IndexFunc(pools, func(p *nodefile.Pool) bool { return p.Family == family })
		if j < 0 {
			return nil
		}
		list[i] = pools[j]
	}
	return list
}

// thatHaveWanted keeps the candidates whose pools have all wanted addresses.
func (a *allocator) thatHaveWanted(list []candidate) ([]candidate, error) {
	if len(a.req.Wanted) == 0 || len(list) == 0 {
		return list, nil
	}
	list = slices.DeleteFunc(list, func(c candidate) bool {
		return slices.ContainsFunc(a.req.Wanted, func(w netip.Addr) bool {
			return !slices.ContainsFunc(c.pools, func(p *nodefile.Pool) bool { return poolHas(p, w) })
		})
	})
	if len(list) == 0 {
		return nil, refuse("no interface of network %s on node %s has all of the requested addresses %s: an address can only be used on the node whose interface holds it", a.req.Network, a.node.Node.Name, join(a.req.Wanted))
	}
	return list, nil
}

// roomOf is how many pods more an interface could take: the least of its families.
func (a *allocator) roomOf(c candidate) (int64, error) {
	room := int64(math.MaxInt64)
	for _, p := range c.pools {
		row, err := a.row(p.Name)
		if err != nil {
			return 0, err
		}
		open := a.node.Open(p)
		// Held addresses in closed parts, such as draining ranges, take no room in the open ones.
		closed, err := a.heldIn(iprange.Subtract(iprange.Merge(slices.Clone(p.Ranges)), open))
		if err != nil {
			return 0, err
		}
		room = min(room, iprange.Size(open)-max(0, int64(row.held)-closed))
	}
	return room, nil
}

// byRoom orders candidates: most room first, then as interfaces are attached.
func byRoom(x, y candidate) int {
	i, j := x.pools[0].Interface, y.pools[0].Interface
	return cmp.Or(
		cmp.Compare(y.room, x.room),
		cmp.Compare(i.NetworkCardIndex, j.NetworkCardIndex),
		cmp.Compare(i.DeviceIndex, j.DeviceIndex),
		cmp.Compare(i.MAC, j.MAC),
	)
}

func poolHas(p *nodefile.Pool, a netip.Addr) bool { return iprange.Contains(p.Ranges, a) }

func join[T any](list []T) string {
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = fmt.Sprint(x)
	}
	return strings.Join(parts, " and ")
}

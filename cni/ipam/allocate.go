// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// quarantineTime is how long an address rests that something outside of the store was seen to use.
const quarantineTime = 5 * time.Minute

// Request asks for the addresses of one interface of a pod.
type Request struct {
	Owner   Owner
	Network string
	Pod     Pod
	Netns   Netns
	// Families wanted; all of the network's on this node if empty.
	Families []nodefile.Family
	// Wanted addresses, one of each family at most: the CNI capability `ips`. Families without one get any.
	Wanted []netip.Addr
	// Missing says why the machine has no interface with a MAC that could carry pods, nil if it has; all are there if this is nil.
	Missing func(mac string) error
}

// Allocation is what an interface of a pod is to be given.
type Allocation struct {
	Record Record
	// Interface of the node that carries it.
	Interface nodefile.Interface
	// Addresses, one of each family, IPv4 first.
	Addresses []Address
	// Again: the owner had these before, so an ADD which fails now must not release them.
	Again bool
}

// Address is one address with what its pool says of it.
type Address struct {
	// Prefix is the address with the subnet's mask.
	Prefix  netip.Prefix
	Gateway netip.Addr
	Pool    string
}

// Allocate gives the owner one address of each family, all of one interface of the node: of those that have all families the one with most room.
// An owner that has addresses gets them again. Errors are *RefusedError, *TakenError, *ExhaustedError, and those of the file system.
func (s *Store) Allocate(node *nodefile.File, req Request) (Allocation, error) {
	return s.allocate(node, req, netip.Addr{})
}

// Replace gives the owner another address for one of its own, which the kernel says is used by something else (EADDRINUSE). That one is not handed
// out for some minutes. The owner keeps its others if their interface has one more. After an error the owner has none.
func (s *Store) Replace(node *nodefile.File, req Request, used netip.Addr) (Allocation, error) {
	return s.allocate(node, req, used)
}

func (s *Store) allocate(node *nodefile.File, req Request, used netip.Addr) (Allocation, error) {
	if err := req.validate(); err != nil {
		return Allocation{}, err
	}
	var allocation Allocation
	var refusal error // given to the caller, though what was forgotten or quarantined on the way is committed
	err := s.update(func(b *book) error {
		a := &allocator{book: b, node: node, req: req, now: s.options.Now()}
		var err error
		if allocation, err = a.run(used); isRefusal(err) {
			refusal, err = err, nil
		}
		if err != nil {
			return err
		}
		return s.reserve(b)
	})
	if err != nil {
		return Allocation{}, err
	}
	if refusal != nil {
		return Allocation{}, refusal
	}
	return allocation, nil
}

// isRefusal says whether err is about the request, not the store.
func isRefusal(err error) bool {
	var refused *RefusedError
	var taken *TakenError
	var exhausted *ExhaustedError
	return errors.As(err, &refused) || errors.As(err, &taken) || errors.As(err, &exhausted)
}

func (r *Request) validate() error {
	switch o := r.Owner; {
	case o.ContainerID == "" || len(o.ContainerID) > 1024 || strings.HasPrefix(o.ContainerID, foundPrefix):
		return refuse("container id %q must be one that a runtime gives", o.ContainerID)
	case o.IfName == "" || len(o.IfName) >= unix.IFNAMSIZ || strings.ContainsAny(o.IfName, "/\x00 "):
		return refuse("interface name %q must be one that Linux allows", o.IfName)
	}
	seen := map[nodefile.Family]netip.Addr{}
	for _, a := range r.Wanted {
		family := nodefile.FamilyOf(a)
		if !a.IsValid() || a.Is4In6() || a.Zone() != "" {
			return refuse("requested address %q must be a plain address", a)
		}
		if other, ok := seen[family]; ok && other != a {
			return refuse("addresses %s and %s are requested: one of each family at most", other, a)
		}
		seen[family] = a
	}
	return nil
}

// allocator works on one request in one transaction.
type allocator struct {
	*book
	node *nodefile.File
	req  Request
	now  time.Duration
	// keep are addresses that the owner just gave up and gets back if its interface stays the same.
	keep []netip.Addr
	// keepMAC is that interface.
	keepMAC string
}

func (a *allocator) run(used netip.Addr) (Allocation, error) {
	network := a.node.Network(a.req.Network)
	record, known, err := a.record(a.req.Owner)
	switch {
	case err != nil:
		return Allocation{}, err
	case network == nil:
		return Allocation{}, notCarried(a.node, a.req.Network)
	case known && used.IsValid():
		if err := a.quarantine(record, used); err != nil {
			return Allocation{}, err
		}
	case known:
		return a.again(record)
	}
	if !network.Allows(a.req.Pod.Namespace) {
		return Allocation{}, refuse("network %s does not allow pods of namespace %q (spec.allowedNamespaces of the UnderlayNetwork)", network.Name, a.req.Pod.Namespace)
	}
	if len(a.req.Wanted) > 0 && network.RequestedIPs != nodefile.RequestedIPsAllow {
		return Allocation{}, refuse("network %s does not let pods ask for an address (spec.requestedIPs of the UnderlayNetwork is %s)", network.Name, network.RequestedIPs)
	}
	if !known {
		if allocation, ok, err := a.adopt(); err != nil || ok {
			return allocation, err
		}
	}
	return a.anew()
}

// again gives an owner what it has.
func (a *allocator) again(r Record) (Allocation, error) {
	if r.Network != a.req.Network {
		return Allocation{}, refuse("container %s has addresses of network %s on interface %s already, and asks for network %s: it must be deleted first", r.ContainerID, r.Network, r.IfName, a.req.Network)
	}
	r.Since, r.Netns, r.Pod = a.now, a.req.Netns, a.req.Pod
	allocation, err := a.asWanted(r)
	if err != nil {
		return Allocation{}, err
	}
	allocation.Again = true
	return allocation, a.writeRecord(r)
}

// asWanted describes what an owner has, if it is what it asks for.
func (a *allocator) asWanted(r Record) (Allocation, error) {
	for _, w := range a.req.Wanted {
		if !slices.Contains(r.Addresses(), w) {
			return Allocation{}, refuse("container %s has %s on interface %s already, and asks for %s: it must be deleted first", r.ContainerID, join(r.Addresses()), r.IfName, w)
		}
	}
	return Describe(a.node, r)
}

// adopt gives an owner the addresses which were found in its namespace when the store was made.
func (a *allocator) adopt() (Allocation, bool, error) {
	if some, err := a.someFound(); err != nil || !some {
		return Allocation{}, false, err
	}
	found, known, err := a.record(foundOwner(a.req.Netns, a.req.Owner.IfName))
	if err != nil || !known {
		return Allocation{}, false, err
	}
	r := Record{Owner: a.req.Owner, Network: a.req.Network, Pod: a.req.Pod, Netns: a.req.Netns, Since: a.now}
	for _, l := range found.Leases {
		i := slices.IndexFunc(a.node.PoolsOf(a.req.Network), func(p *nodefile.Pool) bool { return poolHas(p, l.Address) })
		if i < 0 {
			return Allocation{}, false, nil // of another network: not ours to give
		}
		p := a.node.PoolsOf(a.req.Network)[i]
		r.MAC = p.Interface.MAC
		r.Leases = append(r.Leases, Lease{Address: l.Address, Pool: p.Name})
	}
	slices.SortFunc(r.Leases, func(x, y Lease) int { return x.Address.Compare(y.Address) })
	allocation, err := a.asWanted(r)
	if err != nil {
		return Allocation{}, false, err
	}
	if err := a.dropRecord(found, a.forgetHeld); err != nil {
		return Allocation{}, false, err
	}
	allocation.Again = true
	return allocation, true, a.putRecord(r)
}

// quarantine takes a record away from its owner: used is not handed out for a while, the others can be kept.
func (a *allocator) quarantine(r Record, used netip.Addr) error {
	if !slices.Contains(r.Addresses(), used) {
		return refuse("container %s does not have address %s on interface %s, so it cannot be replaced", r.ContainerID, used, r.IfName)
	}
	a.keepMAC = r.MAC
	return a.dropRecord(r, func(address netip.Addr, pool poolID) error {
		if address == used {
			return a.wait(address, entry{state: quarantined, pool: pool, at: a.now + quarantineTime})
		}
		a.keep = append(a.keep, address)
		return a.forget(address)
	})
}

// anew chooses addresses for an owner that has none.
func (a *allocator) anew() (Allocation, error) {
	candidates, absent, err := a.candidates()
	if err != nil {
		return Allocation{}, err
	}
	exhausted := &ExhaustedError{Network: a.req.Network, Node: a.node.Node.Name, absent: absent}
	for _, c := range candidates {
		leases, choosers, full, err := a.leases(c)
		if err != nil {
			return Allocation{}, err
		}
		if len(full) > 0 {
			if err := a.report(exhausted, full); err != nil {
				return Allocation{}, err
			}
			continue
		}
		for _, choose := range choosers {
			if err := choose.moveCursor(); err != nil {
				return Allocation{}, err
			}
		}
		r := Record{Owner: a.req.Owner, Network: a.req.Network, MAC: c.mac, Leases: leases, Pod: a.req.Pod, Netns: a.req.Netns, Since: a.now}
		if err := a.putRecord(r); err != nil {
			return Allocation{}, err
		}
		return Describe(a.node, r)
	}
	return Allocation{}, exhausted
}

// leases chooses one address of each of a candidate's pools; full are those that have none.
func (a *allocator) leases(c candidate) (leases []Lease, choosers []*chooser, full []*nodefile.Pool, err error) {
	for _, p := range c.pools {
		choose, err := newChooser(a.book, a.node, p, a.now)
		if err != nil {
			return nil, nil, nil, err
		}
		address, ok, err := a.choose(choose, c.mac)
		if err != nil {
			return nil, nil, nil, err
		}
		if !ok {
			full = append(full, p)
			continue
		}
		leases = append(leases, Lease{Address: address, Pool: p.Name})
		choosers = append(choosers, choose)
	}
	return leases, choosers, full, nil
}

// choose takes the wanted address of a pool's family, or the kept one, or else the next.
func (a *allocator) choose(c *chooser, mac string) (netip.Addr, bool, error) {
	family := func(x netip.Addr) bool { return nodefile.FamilyOf(x) == c.pool.Family }
	if i := slices.IndexFunc(a.req.Wanted, family); i >= 0 {
		return a.req.Wanted[i], true, c.take(a.req.Wanted[i])
	}
	if i := slices.IndexFunc(a.keep, family); i >= 0 && mac == a.keepMAC && c.take(a.keep[i]) == nil {
		return a.keep[i], true, nil
	}
	return c.next()
}

// report adds full pools to the error.
func (a *allocator) report(e *ExhaustedError, full []*nodefile.Pool) error {
	for _, p := range full {
		u, err := a.usage(a.node, p, a.now)
		if err != nil {
			return err
		}
		if u.Free > 0 {
			return damaged("%s, and none was found", u)
		}
		e.Pools = append(e.Pools, u)
		if u.Rests > 0 && (e.RetryAfter == 0 || u.Rests < e.RetryAfter) {
			e.RetryAfter = u.Rests
		}
	}
	return nil
}

// Describe adds to a record what the node file says of its pools: what its interface is to be.
func Describe(node *nodefile.File, r Record) (Allocation, error) {
	if node.Network(r.Network) == nil {
		return Allocation{}, notCarried(node, r.Network)
	}
	allocation := Allocation{Record: r}
	for _, l := range r.Leases {
		p := node.Pool(l.Pool)
		if p == nil {
			i := slices.IndexFunc(node.Pools, func(p nodefile.Pool) bool { return poolHas(&p, l.Address) })
			if i < 0 {
				return Allocation{}, refuse("container %s has address %s of pool %s, which is no longer on node %s: it must be deleted first", r.ContainerID, l.Address, l.Pool, node.Node.Name)
			}
			p = &node.Pools[i]
		}
		allocation.Interface = p.Interface
		allocation.Addresses = append(allocation.Addresses, Address{Prefix: netip.PrefixFrom(l.Address, p.Subnet.Bits()), Gateway: p.Gateway, Pool: p.Name})
	}
	return allocation, nil
}

func notCarried(node *nodefile.File, network string) error {
	return refuse("node %s does not carry network %s: its UnderlayNetwork does not choose this node, or the node's agent has not seen it yet", node.Node.Name, network)
}

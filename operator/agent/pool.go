// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
	"github.com/underlay-dev/kubectl-underlay/internal/iprange"
)

// addPool adds a pool whose network is in the file. One that may be in the file but not hand out what it has is added as disabled: the network then
// still has the pool's family, and a pod that cannot have an address of it fails, rather than to come up without.
func (b *builder) addPool(in *v1alpha1.UnderlayPool) {
	object, name := "pool/"+in.Name, "pool "+in.Name
	if b.file.Network(in.Spec.NetworkName) == nil {
		if _, exists := b.networks[in.Spec.NetworkName]; !exists { // else the network is told already
			b.tell(object, "it hands out nothing: there is no UnderlayNetwork %s: create it, or delete the pool", in.Spec.NetworkName)
		}
		return
	}
	p, doubts, err := pool(in)
	if err != nil {
		b.tell(object, "it is left out: %v", err)
		return
	}
	if i := slices.IndexFunc(b.file.Pools, func(o nodefile.Pool) bool { return o.Interface.MAC == p.Interface.MAC }); i >= 0 && b.file.Pools[i].Interface != p.Interface {
		first := &b.file.Pools[i]
		b.tell(object, "it calls the interface with MAC %s %s (card %d, index %d), and pool %s calls it %s (card %d, index %d), which counts: correct one of them",
			p.Interface.MAC, p.Interface, p.Interface.NetworkCardIndex, p.Interface.DeviceIndex,
			first.Name, first.Interface, first.Interface.NetworkCardIndex, first.Interface.DeviceIndex)
		p.Interface = first.Interface
	}
	for _, doubt := range doubts {
		b.tell(object, "%s", doubt)
	}
	b.file.Pools = append(b.file.Pools, p)
	last := &b.file.Pools[len(b.file.Pools)-1]
	why := b.rejected(name)
	if why == "" {
		return
	}
	last.Allocation = nodefile.AllocationDisabled
	if b.rejected(name) == "" { // only what is handed out may not overlap
		b.tell(object, "it hands out nothing: %s", why)
		return
	}
	b.file.Pools = b.file.Pools[:len(b.file.Pools)-1]
	b.tell(object, "it is left out: %s", why)
}

// pool translates. Doubts are what keeps it from handing out addresses; the error is what cannot be translated at all.
func pool(in *v1alpha1.UnderlayPool) (p nodefile.Pool, doubts []string, err error) {
	spec := &in.Spec
	p = nodefile.Pool{
		Name: in.Name, Generation: in.Generation, Network: spec.NetworkName,
		Interface: nodefile.Interface{
			ID: spec.Interface.ID, MAC: spec.Interface.MACAddress,
			DeviceIndex: int(spec.Interface.DeviceIndex), NetworkCardIndex: int(spec.Interface.NetworkCardIndex),
		},
		Family:     nodefile.Family(spec.IPFamily),
		Allocation: nodefile.AllocationEnabled,
	}
	if p.Subnet, err = netip.ParsePrefix(string(spec.Subnet)); err != nil {
		return p, nil, fmt.Errorf("spec.subnet: %w", err)
	}
	if p.Gateway, err = netip.ParseAddr(string(spec.Gateway)); err != nil {
		return p, nil, fmt.Errorf("spec.gateway: %w", err)
	}
	if spec.Allocation == v1alpha1.AllocationDisabled || !in.DeletionTimestamp.IsZero() || meta.IsStatusConditionFalse(in.Status.Conditions, v1alpha1.ConditionValid) {
		p.Allocation = nodefile.AllocationDisabled
	}
	for _, list := range []struct {
		field  string
		in     []v1alpha1.Range
		out    *nodefile.Ranges
		inside bool
	}{{"ranges", spec.Ranges, &p.Ranges, true}, {"exclude", spec.Exclude, &p.Exclude, false}, {"draining", spec.Draining, &p.Draining, true}} {
		*list.out = nodefile.Ranges{}
		for i, text := range list.in {
			r, err := iprange.Parse(string(text))
			if err == nil && list.inside && !iprange.FromPrefix(p.Subnet).Covers(r) {
				err = fmt.Errorf("%s lies outside of the subnet %s", r, p.Subnet)
			}
			if err != nil {
				// What the item meant is unknown, and with it what may be handed out.
				p.Allocation = nodefile.AllocationDisabled
				doubts = append(doubts, fmt.Sprintf("it hands out nothing: spec.%s[%d]: %v", list.field, i, err))
				continue
			}
			*list.out = append(*list.out, r)
		}
	}
	return p, doubts, nil
}

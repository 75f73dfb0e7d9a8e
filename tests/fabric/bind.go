// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"fmt"
	"net/netip"
	"slices"
)

// Bind assigns addresses and prefixes to the ENI. As in a VPC they must lie in its subnet and be nobody else's.
func (f *Fabric) Bind(eni string, prefixes ...netip.Prefix) error {
	p, err := f.port(eni)
	if err != nil {
		return err
	}
	for _, prefix := range prefixes {
		prefix = prefix.Masked()
		if err := f.bindable(p, prefix); err != nil {
			return fmt.Errorf("bind %s to ENI %s: %w", prefix, eni, err)
		}
		if err := f.filter.bind(p, prefix); err != nil {
			return fmt.Errorf("bind %s to ENI %s: %w", prefix, eni, err)
		}
		p.Bound = append(p.Bound, prefix)
	}
	return nil
}

// Unbind takes addresses and prefixes from the ENI. It takes effect at once, also on connections.
func (f *Fabric) Unbind(eni string, prefixes ...netip.Prefix) error {
	p, err := f.port(eni)
	if err != nil {
		return err
	}
	for _, prefix := range prefixes {
		prefix = prefix.Masked()
		i := slices.Index(p.Bound, prefix)
		if i < 0 {
			return fmt.Errorf("unbind %s from ENI %s: it has only %v", prefix, eni, p.Bound)
		}
		if err := f.filter.unbind(p, prefix); err != nil {
			return fmt.Errorf("unbind %s from ENI %s: %w", prefix, eni, err)
		}
		p.Bound = slices.Delete(p.Bound, i, i+1)
	}
	return nil
}

// bindable says why the prefix cannot be bound to the port, if so.
func (f *Fabric) bindable(p *port, prefix netip.Prefix) error {
	if !within(prefix, p.subnet.IPv4) && !within(prefix, p.subnet.IPv6) {
		return fmt.Errorf("outside of subnet %s", p.subnet.Name)
	}
	for _, gateway := range p.subnet.gateways() {
		if prefix.Contains(gateway.Addr()) {
			return fmt.Errorf("%s is the router's", gateway.Addr())
		}
	}
	for _, other := range f.ports {
		for _, bound := range other.Bound {
			if bound.Overlaps(prefix) {
				return fmt.Errorf("overlaps with %s of ENI %s", bound, other.Name)
			}
		}
	}
	return nil
}

// within says whether the prefix is part of the subnet, which is invalid for a family that the subnet lacks.
func within(prefix, subnet netip.Prefix) bool {
	return subnet.IsValid() && prefix.Bits() >= subnet.Bits() && subnet.Contains(prefix.Addr())
}

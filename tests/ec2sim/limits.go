// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

// limitsFile holds what DescribeInstanceTypes says of the network of 1,373 types.
//
//go:embed instance-network-limits.json
var limitsFile string

// InstanceType is what matters of an instance type.
type InstanceType struct {
	Name string `json:"-"`
	// MaxInterfaces of all cards.
	MaxInterfaces    int    `json:"maxInterfaces"`
	IPv4PerInterface int    `json:"ipv4PerInterface"`
	IPv6PerInterface int    `json:"ipv6PerInterface"`
	IPv6             bool   `json:"ipv6"`
	Hypervisor       string `json:"hypervisor"`
	BareMetal        bool   `json:"bareMetal"`
	DefaultCard      int    `json:"defaultCard"`
	// Cards holds the number of interfaces of each.
	Cards []int `json:"cards"`
	EFA   bool  `json:"efa"`
}

func knownTypes() (map[string]InstanceType, error) {
	types := map[string]InstanceType{}
	if err := json.Unmarshal([]byte(limitsFile), &types); err != nil {
		return nil, fmt.Errorf("read the limits of instance types: %w", err)
	}
	for name, t := range types {
		t.Name = name
		types[name] = t
	}
	return types, nil
}

// with is the type as an inventory has it.
func (t InstanceType) with(in v1alpha1.InstanceType) InstanceType {
	t.Name, t.Hypervisor, t.BareMetal = in.Name, in.Hypervisor, in.BareMetal
	if len(t.Cards) == 0 {
		t.Cards = []int{0}
	}
	t.Cards = slices.Clone(t.Cards)
	t.Cards[t.DefaultCard] = int(in.MaximumInterfaces)
	t.MaxInterfaces = 0
	for _, n := range t.Cards {
		t.MaxInterfaces += n
	}
	t.IPv4PerInterface, t.IPv6PerInterface = int(in.IPv4PerInterface), int(in.IPv6PerInterface)
	t.IPv6 = in.IPv6PerInterface > 0
	return t
}

// typeOf is the type of the instance that an interface is attached to; false when it is attached to none, where no
// limit of a type holds.
func (w *World) typeOf(nic *NetworkInterface) (InstanceType, bool) {
	instance := w.Instances[nic.InstanceID]
	if instance == nil {
		return InstanceType{}, false
	}
	t, ok := w.Types[instance.Type]
	return t, ok
}

// checkIPv4Limit looks whether more slots fit. An interface has as many slots as the type has addresses per interface;
// the primary address, each secondary one and each prefix takes one.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-prefix-eni.html
func (w *World) checkIPv4Limit(nic *NetworkInterface, more int, prefixes bool) error {
	t, ok := w.typeOf(nic)
	if !ok {
		return nil
	}
	if prefixes && t.Hypervisor != "nitro" && !t.BareMetal {
		return notNitro(t.Name)
	}
	if len(nic.ipv4())+len(nic.IPv4Prefixes)+more > t.IPv4PerInterface {
		return addressLimitExceeded()
	}
	return nil
}

// checkIPv6Limit is the same for IPv6, where the primary address is an address like the others.
func (w *World) checkIPv6Limit(nic *NetworkInterface, more int, prefixes bool) error {
	t, ok := w.typeOf(nic)
	if !ok {
		return nil
	}
	if !t.IPv6 {
		return noIPv6Support(t.Name)
	}
	if prefixes && t.Hypervisor != "nitro" && !t.BareMetal {
		return notNitro(t.Name)
	}
	if len(nic.ipv6())+len(nic.IPv6Prefixes)+more > t.IPv6PerInterface {
		return addressLimitExceeded()
	}
	return nil
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
)

type netipAddr = netip.Addr

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// network4 is an IPv4 network on one device index, of all sources if none is given.
func network4(name string, device int32, sources ...v1alpha1.AddressSource) v1alpha1.UnderlayNetwork {
	return v1alpha1.UnderlayNetwork{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.UnderlayNetworkSpec{
			InterfaceSelector: v1alpha1.InterfaceSelector{DeviceIndexes: []int32{device}},
			IPFamilies:        []v1alpha1.IPFamily{v1alpha1.IPv4},
			AddressSources:    sources,
		},
	}
}

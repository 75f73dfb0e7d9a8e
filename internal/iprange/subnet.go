// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package iprange

import "net/netip"

// Reserved are the addresses that no host may have where the range is a subnet: of IPv4 the network's own and the broadcast
// address, of IPv6 the routers' anycast address (RFC 4291, 2.6.1). A subnet of two addresses or one has none (RFC 3021,
// RFC 6164).
func (r Range) Reserved() []Range {
	switch {
	case r.Size() <= 2:
		return nil
	case r.Is4():
		return []Range{Single(r.First), Single(r.Last)}
	}
	return []Range{Single(r.First)}
}

// Reaches says whether hosts can send by way of the gateway where the range is their subnet: it is in there, or link-local.
// IPv6 may name all routers by their anycast address.
func (r Range) Reaches(gateway netip.Addr) bool {
	if !r.IsValid() || r.Is4() != gateway.Is4() {
		return false
	}
	return gateway.IsLinkLocalUnicast() || r.Contains(gateway) && !(r.Is4() && Contains(r.Reserved(), gateway))
}

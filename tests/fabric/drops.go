// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package fabric

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Reason is why a frame was dropped.
type Reason uint32

// Why frames are dropped.
const (
	WrongMAC           Reason = iota + 1 // the source MAC, or ARP's, is not the ENI's
	WrongSource                          // the source address, ARP sender or advertised neighbour is not bound to the ENI
	UnspecifiedSource                    // 0.0.0.0 or ::, as in duplicate address detection, listener reports and DHCP
	LinkLocalSource                      // 169.254.0.0/16 or fe80::/10
	UnboundDestination                   // no ENI of the subnet holds the address, or the one that does has another MAC
	Multicast                            // multicast or broadcast which a VPC does not carry
	NotIP                                // neither IPv4, IPv6 nor ARP
	FromOutside                          // a new connection from the internet
)

func (r Reason) String() string {
	switch r {
	case WrongMAC:
		return "wrong-mac"
	case WrongSource:
		return "wrong-source"
	case UnspecifiedSource:
		return "unspecified-source"
	case LinkLocalSource:
		return "link-local-source"
	case UnboundDestination:
		return "unbound-destination"
	case Multicast:
		return "multicast"
	case NotIP:
		return "not-ip"
	case FromOutside:
		return "from-outside"
	}
	return fmt.Sprintf("reason %d", uint32(r))
}

// key is the reason in nftables' sets.
func (r Reason) key() []byte { return binary.NativeEndian.AppendUint32(nil, uint32(r)) }

// drops reads the counters of a port, of all if its link is empty.
func (f *filter) drops(link string) (map[Reason]uint64, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(f.namespace))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	drops := map[Reason]uint64{}
	for _, counters := range f.dropped {
		elements, err := conn.GetSetElements(counters)
		if err != nil {
			return nil, fmt.Errorf("read the counters of dropped frames: %w", err)
		}
		for _, element := range elements {
			name := strings.TrimRight(string(element.Key[:unix.IFNAMSIZ]), "\x00")
			if element.Counter == nil || link != "" && name != link {
				continue
			}
			drops[Reason(binary.NativeEndian.Uint32(element.Key[unix.IFNAMSIZ:]))] += element.Counter.Packets
		}
	}
	return drops, nil
}

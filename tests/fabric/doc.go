// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package fabric simulates a VPC on a Linux kernel: subnets, ENIs, a router, a NAT gateway and an "outside". Above all it
// drops what AWS drops, and counts that by reason.
//
//	                        outside (the internet, MTU 1500)
//	                           |  NAT for IPv4, outbound only for IPv6
//	      router: base+1, ::1 and fe80:ec2::1 on every subnet
//	        |                                     |
//	 subnet (a bridge)                     subnet (a bridge)
//	 |             |                              |
//	ENI           ENI                            ENI
//	 node: a namespace (Attach) or a virtual machine (AttachTap)
//
// A frame from an ENI passes if its source MAC is the ENI's, its source address (or ARP sender, or advertised neighbour) is
// bound to the ENI, and its destination is the router, or bound to the ENI that has the destination MAC. Of multicast
// only ARP and neighbour solicitation and advertisement pass. Frames with link-local or unspecified source are dropped:
// AWS knows some of them, but nothing that pods do may need them. Towards a subnet the router forwards nothing to an
// address that no ENI there holds, and from the outside it lets only answers in.
//
// Bridges learn nothing and flood no unicast: they know each ENI's MAC. Router and outside are namespaces without names,
// of which nothing is left when the process dies. A Fabric is not safe for concurrent use, except for Drops and DropsOf.
//
// The package imports netlink, nftables and x/sys, and needs root. Its filter works on kernels without ipvlan too.
package fabric

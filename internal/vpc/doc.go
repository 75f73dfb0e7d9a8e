// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package vpc reads what surrounds a cluster's nodes (route tables, security groups, network ACLs, gateways, peerings) out
// of the verbatim items of an inventory, and answers what these let through. It is pure, and imports api and iprange
// alone: checks ask it, and so can whoever follows a packet.
//
// Invariants: what is missing or cannot be read is unknown, and nothing is concluded from it: an item that does not decode
// is left out as a whole. An answer "nothing passes" holds for every packet that was asked about; "something may pass" may
// be wrong, for a prefix list hides its addresses.
package vpc

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Package iprange has ranges of IP addresses: parsing, printing and set algebra. It imports the standard library
// alone, so that planner, CLI and CNI share one meaning of a range.
//
// Invariants: a valid Range holds at least one address, all of one family, without zone; its work does not depend on
// its size, so that a /80 costs what a /28 costs. A list is normal when it is sorted and no two of its ranges overlap
// or touch.
package iprange

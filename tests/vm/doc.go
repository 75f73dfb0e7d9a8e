// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package vm boots virtual machines with a stock Debian kernel and runs programs in them, on machines without hardware
// virtualisation too: QEMU's software emulation takes a few seconds from nothing to the first program. What needs a real
// kernel (ipvlan, nftables, traffic control) is tested in there, and the host's own network is left alone.
//
// Setup finds or fetches what is needed and keeps it outside the tree. Boot starts a machine from an initramfs that is
// made on the spot; folders of the host are shared with it read-only. VM.Run runs a program in it. The command
// tests/vm/run is built on these three and runs Go tests: see there how a test asks for a virtual machine.
//
// A machine ends with the process that booted it, however that one ends. The package imports the standard library,
// tests/pinned and tests/scratch alone and runs on Linux.
package vm

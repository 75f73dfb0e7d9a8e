// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command hostlocal allocates and releases addresses with host-local's allocator and its disk backend, so that a benchmark can compare a store with
// them without processes in between: for each line that it reads it does both once and prints the time in µs. Some
// addresses are held meanwhile.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/pkg/ip"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/allocator"
	"github.com/containernetworking/plugins/plugins/ipam/host-local/backend/disk"
)

func main() {
	folder := flag.String("folder", "", "`folder` for the state")
	subnet := flag.String("subnet", "", "`CIDR` of the addresses")
	first := flag.String("first", "", "first `address`")
	count := flag.Int("count", 0, "`number` of addresses from the first on; 0 for the rest of the subnet")
	held := flag.Int("held", 0, "`number` of addresses that are held")
	flag.Parse()
	if err := run(*folder, *subnet, *first, *count, *held); err != nil {
		fmt.Fprintln(os.Stderr, "hostlocal:", err)
		os.Exit(1)
	}
}

func run(folder, subnet, first string, count, held int) (err error) {
	_, network, err := net.ParseCIDR(subnet)
	if err != nil {
		return err
	}
	begin := net.ParseIP(first)
	all := allocator.Range{Subnet: types.IPNet(*network), RangeStart: begin}
	if count > 0 {
		all.RangeEnd = begin
		for range count - 1 {
			all.RangeEnd = ip.NextIP(all.RangeEnd)
		}
	}
	ranges := allocator.RangeSet{all}
	if err := ranges.Canonicalize(); err != nil {
		return err
	}
	if err := fill(folder, begin, held); err != nil {
		return err
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		begin := time.Now()
		if err := errors.Join(once(folder, &ranges, false), once(folder, &ranges, true)); err != nil {
			return err
		}
		fmt.Println(float64(time.Since(begin).Nanoseconds()) / 1000)
	}
	return nil
}

// fill reserves directly: the allocator reads all files for each address.
func fill(folder string, address net.IP, held int) (err error) {
	store, err := disk.New("bench", folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for i := range held {
		if _, err := store.Reserve(fmt.Sprintf("%064d", i), "eth0", address, "0"); err != nil {
			return err
		}
		address = ip.NextIP(address)
	}
	return nil
}

// once opens the store as each call of the plugin does.
func once(folder string, ranges *allocator.RangeSet, release bool) (err error) {
	store, err := disk.New("bench", folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	a := allocator.NewIPAllocator(ranges, store, 0)
	if release {
		return a.Release("bench", "eth0")
	}
	_, err = a.Get("bench", "eth0", nil)
	return err
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/ipam"
	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// addresses measures one allocation and its release, each of which opens and closes the store, as processes do: the store alone against host-local's
// allocator alone. All addresses of the pool but one are held meanwhile; in the /80, 1,000 are.
func (b *bench) addresses(ctx context.Context, pairs int) error {
	for _, c := range []struct {
		name   string
		family nodefile.Family
		subnet string
		first  string
		count  int // 0 for the whole subnet
		held   int
		pairs  int
	}{
		{"ipam-16", nodefile.IPv4, "10.0.0.0/16", "10.0.1.0", 16, 15, pairs},
		{"ipam-1000", nodefile.IPv4, "10.0.0.0/16", "10.0.1.0", 1000, 999, max(1, pairs/4)},
		{"ipam-v6-80", nodefile.IPv6, "fd00:0:0:0:1::/80", "fd00:0:0:0:1::1", 0, 1000, max(1, pairs/4)},
		{"ipam-60000", nodefile.IPv4, "10.0.0.0/16", "10.0.1.0", 60000, 59999, max(1, pairs/50)}, // the peer takes seconds
	} {
		state := filepath.Join("/run", c.name)
		peer, err := b.startHostLocal(ctx, filepath.Join(state, "peer"), c.subnet, c.first, c.count, c.held)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		own, err := newStore(filepath.Join(state, "ours"), c.family, c.subnet, c.first, c.count, c.held)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		s, err := alternate(c.name, c.pairs, own.once, peer.once)
		if err := errors.Join(err, peer.stop(), os.RemoveAll(state)); err != nil {
			return err
		}
		if err := s.print(); err != nil {
			return err
		}
	}
	return nil
}

// growth measures our store of 60,000 addresses against our store of 16, both full but for one.
func (b *bench) growth(_ context.Context, pairs int) error {
	state := filepath.Join("/run", "ipam-growth")
	full := func(count int) (*store, error) {
		return newStore(filepath.Join(state, fmt.Sprint(count)), nodefile.IPv4, "10.0.0.0/16", "10.0.1.0", count, count-1)
	}
	large, err := full(60000)
	if err != nil {
		return err
	}
	small, err := full(16)
	if err != nil {
		return err
	}
	s, err := alternate("ipam-growth", pairs, large.once, small.once)
	if err := errors.Join(err, os.RemoveAll(state)); err != nil {
		return err
	}
	return s.print()
}

// poolFile is a node file with one pool.
func poolFile(family nodefile.Family, subnet, first string, count int) (*nodefile.File, error) {
	of := netip.MustParsePrefix(subnet)
	ranges, gateway := subnet, "fe80:ec2::1"
	if count > 0 {
		last := netip.MustParseAddr(first)
		for range count - 1 {
			last = last.Next()
		}
		ranges = first + "-" + last.String()
	}
	if family == nodefile.IPv4 {
		gateway = "10.0.0.1"
	} else {
		of = netip.PrefixFrom(of.Addr(), 64).Masked()
	}
	parsed, err := nodefile.ParseRanges([]string{ranges})
	file := &nodefile.File{
		Version: nodefile.Version, Node: nodefile.Node{Name: "node"},
		Networks: []nodefile.Network{{
			Name: "net", RequestedIPs: nodefile.RequestedIPsDeny, MetadataService: nodefile.MetadataService{Mode: nodefile.MetadataAllow},
		}},
		Pools: []nodefile.Pool{{
			Name: "pool", Network: "net", Family: family, Subnet: of, Gateway: netip.MustParseAddr(gateway), Ranges: parsed,
			Interface: nodefile.Interface{ID: "eni-0a", MAC: uplinkMAC}, Allocation: nodefile.AllocationEnabled,
		}},
	}
	return file, errors.Join(err, file.Validate())
}

// store is ours.
type store struct {
	folder string
	file   *nodefile.File
}

// newStore makes one whose pool has count addresses from the first on, or all of the subnet if count is 0; some are held.
func newStore(folder string, family nodefile.Family, subnet, first string, count, held int) (*store, error) {
	file, err := poolFile(family, subnet, first, count)
	if err != nil {
		return nil, err
	}
	s := &store{folder: folder, file: file}
	return s, s.fill(netip.MustParseAddr(first), held)
}

func (s *store) with(fn func(*ipam.Store) error) error {
	opened, err := s.open(nil)
	if err != nil {
		return err
	}
	return errors.Join(fn(opened), opened.Close())
}

func (s *store) open(found []ipam.Found) (*ipam.Store, error) {
	return ipam.Open(context.Background(), ipam.Options{
		Folder: s.folder, Found: func() ([]ipam.Found, error) { return found, nil }, Log: func(string) {},
	})
}

func (s *store) request(id string) ipam.Request {
	return ipam.Request{Owner: ipam.Owner{ContainerID: id, IfName: "eth0"}, Network: "net"}
}

// fill makes a store that holds addresses, all by one transaction: as addresses that were found in live namespaces. Their inodes are in the order of the
// store's keys, which are hashes: else each record would be moved aside for the next.
func (s *store) fill(first netip.Addr, held int) error {
	inodes := make([]uint64, held)
	for i := range inodes {
		inodes[i] = uint64(1 + i)
	}
	key := func(inode uint64) []byte {
		h := fnv.New128a()
		fmt.Fprintf(h, "~netns-%d", inode)
		return h.Sum(nil)
	}
	slices.SortFunc(inodes, func(x, y uint64) int { return bytes.Compare(key(x), key(y)) })
	list := make([]ipam.Found, held)
	for i, inode := range inodes {
		list[i] = ipam.Found{Address: first, IfName: "eth0", Netns: ipam.Netns{Path: fmt.Sprintf("/run/netns/held-%d", inode), Inode: inode}, MAC: uplinkMAC}
		first = first.Next()
	}
	opened, err := s.open(list)
	if err != nil {
		return err
	}
	return opened.Close()
}

func (s *store) once(int) (float64, error) {
	r := s.request("bench")
	begin := time.Now()
	err := errors.Join(
		s.with(func(opened *ipam.Store) error { _, err := opened.Allocate(s.file, r); return err }),
		s.with(func(opened *ipam.Store) error { _, err := opened.Release(r.Owner, ""); return err }),
	)
	return float64(time.Since(begin).Nanoseconds()) / 1000, err
}

// hostLocalProcess is tests/cluster/binaries/hostlocal, which measures itself.
type hostLocalProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func (b *bench) startHostLocal(ctx context.Context, folder, subnet, first string, count, held int) (*hostLocalProcess, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.programs, "hostlocal"), "-folder="+folder, "-subnet="+subnet, "-first="+first,
		"-count="+strconv.Itoa(count), "-held="+strconv.Itoa(held))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &hostLocalProcess{cmd, in, bufio.NewScanner(out)}
	if !p.out.Scan() {
		return nil, errors.Join(errors.New("hostlocal has ended"), p.stop())
	}
	return p, nil
}

func (p *hostLocalProcess) once(int) (float64, error) {
	if _, err := fmt.Fprintln(p.in); err != nil {
		return 0, err
	}
	if !p.out.Scan() {
		return 0, errors.New("hostlocal has ended")
	}
	return strconv.ParseFloat(p.out.Text(), 64)
}

func (p *hostLocalProcess) stop() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }

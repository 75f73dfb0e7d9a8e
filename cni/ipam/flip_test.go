// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// Random bits of a store are flipped, wherever they are: pages' heads and meta pages too. A process that works with it neither ends in a crash nor waits
// for ever, and the store is usable at once, by itself or set aside; no address that a live namespace holds is handed out. (A flip in a value may pass
// unnoticed, and make an address of a pod look fresh once the pool has come round: then the kernel refuses it, and ADD takes the next.)
func TestFlippedBits(t *testing.T) {
	const processes, each = 4, 100
	aside := 0
	for i := range processes {
		cmd, out, complaint := start(t, "flip", t.TempDir(), fmt.Sprintf("%d-%d", i*each, (i+1)*each), 0)
		watchdog := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
		last := ""
		for line, err := out.ReadString('\n'); err == nil; line, err = out.ReadString('\n') {
			last = line
			if strings.HasSuffix(line, "set aside\n") {
				aside++
			}
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %q: %v: %s", last, err, complaint)
		}
		watchdog.Stop()
	}
	t.Logf("%d of %d damaged stores were set aside", aside, processes*each)
	if aside == 0 {
		t.Error("no store was set aside")
	}
}

// flipMany runs in a process of its own: seeds is "first-behind".
func flipMany(folder, seeds string) error {
	first, behind, _ := strings.Cut(seeds, "-")
	for seed := must(strconv.Atoi(first)); seed < must(strconv.Atoi(behind)); seed++ {
		fmt.Println("seed", seed)
		f := &flipped{random: rand.New(rand.NewPCG(uint64(seed), 1)), node: oneNode(onePool(nodefile.IPv4, "10.0.1.0/24"))}
		f.options = Options{Folder: filepath.Join(folder, strconv.Itoa(seed)), Found: nothingFound, BootID: "boot-1", Now: func() time.Duration { return time.Hour }}
		if err := errors.Join(f.open(f.fill), f.flip(), f.open(f.use), f.open(f.inspect)); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
		if aside := must(filepath.Glob(f.path() + ".bad-?")); len(aside) > 0 {
			fmt.Println("set aside")
		}
	}
	return nil
}

// flipped is a store whose bits are flipped.
type flipped struct {
	churner
	random *rand.Rand
	node   *nodefile.File
	found  []Found
}

func (f *flipped) path() string { return filepath.Join(f.options.Folder, "store.db") }

// fill leaves 30 held addresses, in live namespaces, and 10 released ones.
func (f *flipped) fill(s *Store) error {
	for i := range 40 {
		id := fmt.Sprintf("c%02d", i)
		a, err := s.Allocate(f.node, request(id))
		if err == nil && i%4 == 0 {
			_, err = s.Release(owner(id), "")
		} else if err == nil {
			f.found = append(f.found, Found{Address: a.Addresses[0].Prefix.Addr(), IfName: "eth0", Netns: Netns{Path: "/run/netns/" + id, Inode: 5000 + uint64(i)}})
		}
		if err != nil {
			return err
		}
	}
	f.options.Found = func() ([]Found, error) { return f.found, nil }
	return nil
}

func (f *flipped) flip() error {
	data, err := os.ReadFile(f.path())
	for range 1 + f.random.IntN(8) {
		data[f.random.IntN(len(data))] ^= 1 << f.random.IntN(8)
	}
	return errors.Join(err, os.WriteFile(f.path(), data, 0o600))
}

// use does what verbs and the agent do.
func (f *flipped) use(s *Store) error {
	taken := []netip.Addr{}
	for _, x := range f.found {
		taken = append(taken, x.Address)
	}
	for _, id := range []string{"x", "y", "z"} {
		a, err := s.Allocate(f.node, request(id))
		if err != nil {
			return err
		}
		for _, x := range a.Record.Addresses() {
			if slices.Contains(taken, x) {
				return fmt.Errorf("%s is held, and was handed out", x)
			}
			taken = append(taken, x)
		}
	}
	if _, err := s.Release(owner("c01"), "/run/netns/c01"); err != nil {
		return err
	}
	if _, err := s.List(); err != nil {
		return err
	}
	_, err := s.Usage(f.node)
	return err
}

// inspect lets the checker look: it may find what nobody met, and then says so without a crash.
func (f *flipped) inspect(s *Store) error {
	_, err := s.Check()
	if isDamaged(err) {
		return nil
	}
	return err
}

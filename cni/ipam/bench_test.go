// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// The benchmarks measure what one pod costs: an ADD and a DEL, each of which opens and closes the store, as the processes of a runtime do. All
// addresses of the pool but one are held meanwhile, except in the /80, where 1,000 are. UNDERLAY_BENCH_FOLDER names a folder on the file system to measure;
// on nodes /run is a tmpfs.
func BenchmarkIPAM(b *testing.B) {
	for _, c := range []struct {
		name   string
		family nodefile.Family
		ranges string
		held   int
	}{
		{"ipam-16", nodefile.IPv4, "10.0.1.0/28", 15},
		{"ipam-1000", nodefile.IPv4, "10.0.1.0-10.0.4.231", 999},
		{"ipam-60000", nodefile.IPv4, "10.0.1.0-10.0.235.95", 59999},
		{"ipam-60000-empty", nodefile.IPv4, "10.0.1.0-10.0.235.95", 0},
		{"ipam-v6-80", nodefile.IPv6, "fd00:0:0:0:1::/80", 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			node := oneNode(onePool(c.family, c.ranges))
			node.Networks[0].CooldownSeconds = 0
			options := Options{Folder: benchFolder(b), Found: nothingFound, BootID: "boot"}
			fill(b, options, node, c.held)
			owner := Owner{ContainerID: "bench", IfName: "eth0"}
			took := make([]time.Duration, 0, b.N)
			cpu := cpuTime(b)
			b.ResetTimer()
			for range b.N {
				begin := time.Now()
				withStore(b, options, func(s *Store) error {
					_, err := s.Allocate(node, Request{Owner: owner, Network: "net"})
					return err
				})
				withStore(b, options, func(s *Store) error {
					_, err := s.Release(owner, "")
					return err
				})
				took = append(took, time.Since(begin))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs/op")
			b.ReportMetric(float64(took[len(took)/10].Nanoseconds())/1000, "p10-µs/op")
		})
	}
}

// cpuTime of this process: on a busy machine it says more than the time that went by.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkOpen is what locking, opening and closing cost alone.
func BenchmarkOpen(b *testing.B) {
	for _, held := range []int{0, 1000, 60000} {
		b.Run(fmt.Sprint(held), func(b *testing.B) {
			node := oneNode(onePool(nodefile.IPv4, "10.0.1.0-10.0.235.95"))
			options := Options{Folder: benchFolder(b), Found: nothingFound}
			fill(b, options, node, held)
			b.ResetTimer()
			for range b.N {
				withStore(b, options, func(*Store) error { return nil })
			}
		})
	}
}

// BenchmarkUsage is what the agent does every few seconds while ADDs wait.
func BenchmarkUsage(b *testing.B) {
	for _, held := range []int{16, 1000, 60000} {
		b.Run(fmt.Sprint(held), func(b *testing.B) {
			node := oneNode(onePool(nodefile.IPv4, "10.0.1.0-10.0.235.95"))
			options := Options{Folder: benchFolder(b), Found: nothingFound}
			fill(b, options, node, held)
			b.ResetTimer()
			withStore(b, options, func(s *Store) error {
				for range b.N {
					if _, err := s.Usage(node); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

func benchFolder(b *testing.B) string {
	if other := os.Getenv("UNDERLAY_BENCH_FOLDER"); other != "" {
		b.Setenv("TMPDIR", other)
	}
	return b.TempDir()
}

func fill(tb testing.TB, options Options, node *nodefile.File, count int) {
	withStore(tb, options, func(s *Store) error {
		for i := range count {
			if _, err := s.Allocate(node, Request{Owner: Owner{ContainerID: fmt.Sprintf("%064d", i), IfName: "eth0"}, Network: "net"}); err != nil {
				return err
			}
		}
		return nil
	})
}

func withStore(tb testing.TB, options Options, fn func(s *Store) error) {
	tb.Helper()
	s, err := Open(tb.Context(), options)
	if err != nil {
		tb.Fatal(err)
	}
	err = fn(s)
	if closeErr := s.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		tb.Fatal(err)
	}
}

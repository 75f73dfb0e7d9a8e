// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ipam

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/underlay-dev/kubectl-underlay/cni/nodefile"
)

// The tests in this file need processes of their own: the test binary starts itself with childVariable set, as "role folder name epoch".
const childVariable = "UNDERLAY_IPAM_TEST_CHILD"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(childVariable); arguments != "" {
		fields := strings.Fields(arguments)
		if err := child(fields[0], fields[1], fields[2], must(time.ParseDuration(fields[3]))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(role, folder, name string, epoch time.Duration) error {
	c := &churner{name: name, claims: filepath.Join(folder, "claims"), random: rand.New(rand.NewPCG(uint64(os.Getpid()), 1))}
	c.options = churnOptions(folder, epoch)
	switch role {
	case "churn":
		c.node = churnNode()
		fmt.Println("started")
		for {
			if err := c.step(); err != nil {
				return err
			}
		}
	case "count":
		c.node = churnNode()
		for range 60 {
			if err := errors.Join(c.add(0), c.del(0)); err != nil {
				return err
			}
		}
		return nil
	case "flip":
		return flipMany(folder, name)
	case "full":
		return fillUp(c.options)
	}
	return fmt.Errorf("no role %q", role)
}

// churnNode has two interfaces with 8 addresses of each family, which do not rest: a mistake meets its like soon.
func churnNode() *nodefile.File {
	node := twoDual()
	for i, r := range []string{"10.0.1.0/29", "10.0.2.0/29", "fd00::10/125", "fd00::20/125"} {
		node.Pools[i].Ranges = mustRanges(r)
	}
	node.Networks[0].CooldownSeconds = 0
	return node
}

// churnOptions have a clock by which a quarantine of five minutes lasts 3 ms. It starts at epoch, the same in all processes.
func churnOptions(folder string, epoch time.Duration) Options {
	return Options{
		Folder: filepath.Join(folder, "underlay"),
		Found:  nothingFound,
		Now:    func() time.Duration { return 100_000 * (sinceBoot() - epoch) },
	}
}

// churnWorld has a folder in which children work.
func churnWorld(t *testing.T) (w *world, folder string, epoch time.Duration) {
	w = newWorld(t, churnNode())
	folder, epoch = t.TempDir(), sinceBoot()
	if err := os.Mkdir(filepath.Join(folder, "claims"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.options = churnOptions(folder, epoch)
	return w, folder, epoch
}

// churner takes addresses and gives them back, and claims each that it has by a link named after it, which only one process can make.
type churner struct {
	name    string
	claims  string
	options Options
	node    *nodefile.File
	random  *rand.Rand
}

func (c *churner) id(i int) string { return c.name + "-" + strconv.Itoa(i) }

func (c *churner) step() error {
	const owners = 3 // of each process
	switch i := c.random.IntN(owners); c.random.IntN(8) {
	case 0, 1, 2:
		return c.add(i)
	case 3:
		return c.replace(i)
	case 4:
		return c.open(func(s *Store) error { _, err := s.Usage(c.node); return err })
	default:
		return c.del(i)
	}
}

func (c *churner) open(fn func(s *Store) error) error {
	s, err := Open(context.Background(), c.options)
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

func (c *churner) add(i int) error {
	var a Allocation
	err := c.open(func(s *Store) (err error) { a, err = s.Allocate(c.node, request(c.id(i))); return err })
	return c.claim(i, a, err)
}

// claim fails if the store has given an address to two.
func (c *churner) claim(i int, a Allocation, err error) error {
	if _, exhausted := errors.AsType[*ExhaustedError](err); exhausted {
		return nil
	}
	if err != nil || a.Again {
		return err
	}
	for _, address := range a.Record.Addresses() {
		path := filepath.Join(c.claims, address.String())
		if err := os.Symlink(c.id(i), path); err != nil {
			other, _ := os.Readlink(path)
			return fmt.Errorf("%s was given to %s, while %s has it: %w", address, c.id(i), other, err)
		}
	}
	return nil
}

// unclaim lets go of an owner's addresses before the store does.
func (c *churner) unclaim(i int) ([]netip.Addr, error) {
	var r Record
	err := c.open(func(s *Store) (err error) { r, _, err = s.Get(owner(c.id(i))); return err })
	for _, address := range r.Addresses() {
		err = errors.Join(err, os.Remove(filepath.Join(c.claims, address.String())))
	}
	return r.Addresses(), err
}

func (c *churner) replace(i int) error {
	list, err := c.unclaim(i)
	if err != nil || len(list) == 0 {
		return err
	}
	var a Allocation
	err = c.open(func(s *Store) (err error) {
		a, err = s.Replace(c.node, request(c.id(i)), list[0])
		return err
	})
	return c.claim(i, a, err)
}

func (c *churner) del(i int) error {
	if _, err := c.unclaim(i); err != nil {
		return err
	}
	return c.open(func(s *Store) error { _, err := s.Release(owner(c.id(i)), ""); return err })
}

// start makes a child process; its standard error is collected.
func start(t *testing.T, role, folder, name string, epoch time.Duration) (*exec.Cmd, *bufio.Reader, *bytes.Buffer) {
	cmd := exec.CommandContext(t.Context(), must(os.Executable()))
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{role, folder, name, epoch.String()}, " "))
	complaint := &bytes.Buffer{}
	cmd.Stderr = complaint
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out), complaint
}

// Processes which allocate and release are killed at random points, several at a time. After each kill the store is consistent and was not set aside,
// and no address is ever given to two.
func TestKilledProcesses(t *testing.T) {
	kills := 60
	if n, err := strconv.Atoi(os.Getenv("UNDERLAY_KILLS")); err == nil {
		kills = n
	}
	const slots = 4
	w, folder, epoch := churnWorld(t)
	var wait sync.WaitGroup
	for slot := range slots {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(slot), 2))
			for i := range kills / slots {
				name := fmt.Sprintf("s%dk%d", slot, i)
				if problem := killOne(t, folder, name, epoch, time.Duration(random.IntN(40_000))*time.Microsecond); problem != "" {
					t.Errorf("child %s: %s", name, problem)
					return
				}
			}
		})
	}
	wait.Wait()
	// What every child left was released as DEL does, so all can be had again.
	w.want(w.records(), "")
}

// killOne lets a child work for a while, kills it, checks the store and tidies up after it as a runtime does by DEL.
func killOne(t *testing.T, folder, name string, epoch, after time.Duration) string {
	cmd, out, complaint := start(t, "churn", folder, name, epoch)
	if line, err := out.ReadString('\n'); line != "started\n" {
		return fmt.Sprintf("it said %q, %v: %s", line, err, complaint)
	}
	<-time.After(after) // the random point
	if err := cmd.Process.Kill(); err != nil {
		return err.Error()
	}
	_ = cmd.Wait() // it was killed
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		return "it ended by itself: " + complaint.String()
	}
	c := &churner{name: name, claims: filepath.Join(folder, "claims"), options: churnOptions(folder, epoch)}
	err := c.open(func(s *Store) error {
		problems, err := s.Check()
		if len(problems) > 0 {
			err = errors.Join(err, fmt.Errorf("the checker finds %v", problems))
		}
		return err
	})
	if aside := must(filepath.Glob(filepath.Join(c.options.Folder, "*.bad-*"))); len(aside) > 0 {
		err = errors.Join(err, fmt.Errorf("the store was set aside: %v", aside))
	}
	for _, e := range must(os.ReadDir(c.claims)) {
		if target, _ := os.Readlink(filepath.Join(c.claims, e.Name())); strings.HasPrefix(target, name+"-") {
			err = errors.Join(err, os.Remove(filepath.Join(c.claims, e.Name())))
		}
	}
	for i := range 3 {
		err = errors.Join(err, c.open(func(s *Store) error { _, err := s.ReleaseContainer(c.id(i)); return err }))
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Processes are killed while they make the store. Whatever they leave is either nothing or a whole store, and never set aside.
func TestKilledWhileMakingTheStore(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 15 {
		w, folder, epoch := churnWorld(t)
		var children []*exec.Cmd
		for j := range 2 {
			cmd, out, complaint := start(t, "churn", folder, strconv.Itoa(j), epoch)
			if line, err := out.ReadString('\n'); err != nil {
				t.Fatalf("%q, %v: %s", line, err, complaint)
			}
			children = append(children, cmd)
		}
		<-time.After(time.Duration(random.IntN(1500)) * time.Microsecond)
		for _, cmd := range children {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		w.store(func(s *Store) {
			if _, err := s.List(); err != nil {
				t.Error(err)
			}
		})
		if aside := must(filepath.Glob(filepath.Join(w.options.Folder, "*.bad-*"))); len(aside) > 0 {
			t.Errorf("round %d: the store was set aside: %v", i, aside)
		}
	}
}

// Many processes at once, as many as there are addresses: each gets one every time, since each waits for the lock rather than failing.
func TestManyProcesses(t *testing.T) {
	const processes = 12 // of 16 addresses of each family
	w, folder, epoch := churnWorld(t)
	var wait sync.WaitGroup
	begin := time.Now()
	for i := range processes {
		wait.Go(func() {
			cmd, _, complaint := start(t, "count", folder, strconv.Itoa(i), epoch)
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %d: %v: %s", i, err, complaint)
			}
		})
	}
	wait.Wait()
	t.Logf("%d processes, 60 ADDs and DELs each, in %s", processes, time.Since(begin).Round(time.Millisecond))
	w.want(w.records(), "")
}

// A full file system refuses allocations with an error that says so, damages nothing, and lets addresses be released.
func TestFullFileSystem(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), must(os.Executable()))
	cmd.Env = append(os.Environ(), childVariable+"=full "+t.TempDir()+" x 0s")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWNS | unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) && os.Getenv("CI") != "true" {
		t.Skip("left out: this machine lets no test mount a file system")
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// fillUp runs in a mount namespace of its own.
func fillUp(options Options) error {
	if err := os.MkdirAll(options.Folder, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", options.Folder, "tmpfs", 0, "size=256k"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	node := oneNode(onePool(nodefile.IPv4, "10.0.1.0-10.0.99.255"))
	node.Networks[0].CooldownSeconds = 0
	c := &churner{options: options}
	var full error
	count := 0
	for ; full == nil && count < 10_000; count++ {
		full = c.open(func(s *Store) error { _, err := s.Allocate(node, request(strconv.Itoa(count))); return err })
	}
	var storage *StorageError
	if !errors.As(full, &storage) || !errors.Is(full, unix.ENOSPC) || !strings.Contains(full.Error(), "its file system is full; free space there") {
		return fmt.Errorf("after %d allocations: got %w", count, full)
	}
	for i := range count - 1 { // the last one failed
		if err := c.open(func(s *Store) error {
			freed, err := s.Release(owner(strconv.Itoa(i)), "")
			if err == nil && len(freed) != 1 {
				err = fmt.Errorf("container %d of %d has no record", i, count)
			}
			return err
		}); err != nil {
			return fmt.Errorf("release: %w", err)
		}
	}
	return c.open(func(s *Store) error {
		problems, err := s.Check()
		if err != nil || len(problems) > 0 {
			return fmt.Errorf("the checker finds %v, %w", problems, err)
		}
		_, err = s.Allocate(node, request("again"))
		return err
	})
}

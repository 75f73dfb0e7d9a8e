// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newHost has folders of its own, with programs to install, and collects what the host logs.
func newHost(t *testing.T) (*Host, *bytes.Buffer) {
	t.Helper()
	root := t.TempDir()
	paths := Paths{
		NodeFile: filepath.Join(root, "node.json"), Store: filepath.Join(root, "run"), Plugins: filepath.Join(root, "plugins"),
		CNIBin: filepath.Join(root, "bin"), CNIConf: filepath.Join(root, "net.d"), Sysctl: filepath.Join(root, "sysctl"),
	}
	for _, p := range programs() {
		write(t, filepath.Join(paths.Plugins, p.name), "the program "+p.name)
	}
	var log bytes.Buffer
	return New(paths, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	return string(content)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inode tells a file that was replaced from one that was left alone.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var s unix.Stat_t
	must(t, unix.Stat(path, &s))
	return s.Ino
}

func TestInstall(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(t *testing.T, h *Host, target string)
		// replaced: the second install replaces the file.
		replaced bool
	}{
		{"nothing changed", func(*testing.T, *Host, string) {}, false},
		{"touched", func(t *testing.T, _ *Host, target string) { must(t, os.Chmod(target, programMode)) }, false},
		{"another content of the same size", func(t *testing.T, _ *Host, target string) {
			must(t, os.WriteFile(target, []byte("THE PROGRAM UNDERLAY"), 0))
		}, true},
		{"longer", func(t *testing.T, _ *Host, target string) {
			must(t, os.WriteFile(target, []byte("the program underlay!"), 0))
		}, true},
		{"empty", func(t *testing.T, _ *Host, target string) { must(t, os.Truncate(target, 0)) }, true},
		{"removed", func(t *testing.T, _ *Host, target string) { must(t, os.Remove(target)) }, true},
		{"not to be executed", func(t *testing.T, _ *Host, target string) { must(t, os.Chmod(target, 0o644)) }, true},
		{"a link to elsewhere", func(t *testing.T, h *Host, target string) {
			must(t, os.Remove(target))
			must(t, os.Symlink(filepath.Join(h.paths.Plugins, "underlay"), target))
		}, true},
		{"a new release", func(t *testing.T, h *Host, _ string) {
			write(t, filepath.Join(h.paths.Plugins, "underlay"), "release 2")
		}, true},
		{"an agent was killed in the middle", func(t *testing.T, h *Host, target string) {
			write(t, filepath.Join(h.paths.CNIBin, ".underlay.tmp"), "half of a program that was longer than this one")
			must(t, os.Remove(target))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, log := newHost(t)
			must(t, h.install())
			target := filepath.Join(h.paths.CNIBin, "underlay")
			before := inode(t, target)
			c.change(t, h, target)
			log.Reset()
			must(t, h.install())
			if got, want := read(t, target), read(t, filepath.Join(h.paths.Plugins, "underlay")); got != want {
				t.Errorf("installed %q, want %q", got, want)
			}
			info, err := os.Lstat(target)
			must(t, err)
			if info.Mode() != programMode {
				t.Errorf("mode %v, want %v", info.Mode(), os.FileMode(programMode))
			}
			if replaced := strings.Contains(log.String(), "installed a CNI program"); replaced != c.replaced || !c.replaced && inode(t, target) != before {
				t.Errorf("replaced: %v, want %v\n%s", replaced, c.replaced, log)
			}
			if left, _ := filepath.Glob(filepath.Join(h.paths.CNIBin, ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestInstallWhileRunning replaces a program that runs: opened for writing it would be busy.
func TestInstallWhileRunning(t *testing.T) {
	h, _ := newHost(t)
	sleep, err := exec.LookPath("sleep")
	must(t, err)
	write(t, filepath.Join(h.paths.Plugins, "underlay"), read(t, sleep))
	must(t, h.install())
	target := filepath.Join(h.paths.CNIBin, "underlay")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := exec.CommandContext(ctx, target, "1000")
	must(t, running.Start())
	if file, err := os.OpenFile(target, os.O_WRONLY, 0); !errors.Is(err, unix.ETXTBSY) {
		file.Close()
		t.Fatalf("writing to a running program: %v, want %v: this test shows nothing", err, unix.ETXTBSY)
	}
	write(t, filepath.Join(h.paths.Plugins, "underlay"), "the next release")
	must(t, h.install())
	if got := read(t, target); got != "the next release" {
		t.Errorf("installed %.40q", got)
	}
	if err := running.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("the running program ended: %v", err)
	}
	cancel()
	_ = running.Wait()
}

func TestInstallWithoutSource(t *testing.T) {
	h, _ := newHost(t)
	must(t, os.Remove(filepath.Join(h.paths.Plugins, "underlay")))
	err := h.install()
	if err == nil || !strings.Contains(err.Error(), "install the CNI program underlay: inspect "+h.paths.Plugins) {
		t.Errorf("error %v", err)
	}
	if got := read(t, filepath.Join(h.paths.CNIBin, "portmap")); got != "the program portmap" {
		t.Errorf("the other program is %q", got)
	}
}

// TestInstallBesideOthers: what a distribution brings stays, and what it lacks is added.
func TestInstallBesideOthers(t *testing.T) {
	h, _ := newHost(t)
	for _, name := range []string{"underlay", "loopback"} {
		write(t, filepath.Join(h.paths.CNIBin, name), "the distribution's")
	}
	must(t, h.install())
	for name, want := range map[string]string{"underlay": "the program underlay", "loopback": "the distribution's", "portmap": "the program portmap"} {
		if got := read(t, filepath.Join(h.paths.CNIBin, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// prepare makes a bare initramfs a machine that tests can use.
func prepare() error {
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := moveRoot(); err != nil {
		return err
	}
	if err := mountAll(kernelMounts()); err != nil {
		return err
	}
	if err := mountShares(); err != nil {
		return err
	}
	if err := bringUpLoopback(); err != nil {
		return err
	}
	// Network namespaces are bind mounts that must show in every mount namespace, as on a real node.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share the mounts: %w", err)
	}
	return nil
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func kernelMounts() []mount {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	return []mount{
		{"proc", "/proc", "proc", quiet | unix.MS_NOEXEC, ""},
		{"sysfs", "/sys", "sysfs", quiet | unix.MS_NOEXEC, ""},
		{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, ""},
		{"tmpfs", "/run", "tmpfs", quiet, "mode=0755"},
		{"tmpfs", "/tmp", "tmpfs", quiet, "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", quiet | unix.MS_NOEXEC, ""},
		{"bpf", "/sys/fs/bpf", "bpf", quiet | unix.MS_NOEXEC, ""},
	}
}

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

// loadModules loads the modules of the folder in the order of their names, which the host has chosen so that each finds
// what it needs. All others come from the share, when the kernel asks for them by modprobe.
func loadModules(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.ko"))
	if err != nil {
		return err
	}
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("load module: %w", err)
		}
		err = unix.FinitModule(int(file.Fd()), "", 0)
		file.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load module %s: %w", path, err)
		}
	}
	return nil
}

// mountShares mounts what the kernel command line names as underlay.share=TAG:PATH, read-only.
func mountShares() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("read the kernel command line: %w", err)
	}
	var mounts []mount
	for word := range strings.FieldsSeq(string(line)) {
		share, ok := strings.CutPrefix(word, "underlay.share=")
		if !ok {
			continue
		}
		tag, path, _ := strings.Cut(share, ":")
		// The host does not change a share while the guest runs, so the guest may cache all of it.
		mounts = append(mounts, mount{tag, path, "9p", unix.MS_RDONLY, "trans=virtio,version=9p2000.L,msize=524288,cache=loose"})
	}
	return mountAll(mounts)
}

func bringUpLoopback() error {
	out, err := exec.CommandContext(context.Background(), "/bin/busybox", "ip", "link", "set", "lo", "up").CombinedOutput()
	if err != nil {
		return fmt.Errorf("bring up lo: %w: %s", err, out)
	}
	return nil
}

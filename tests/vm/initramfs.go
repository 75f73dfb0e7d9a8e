// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
)

// initramfs returns the file system that a machine starts from: our init, busybox, and some modules. The machine gets
// everything else from shared folders of the host.
func (k Kit) initramfs(ctx context.Context) ([]byte, error) {
	init, err := buildInit(ctx)
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile(k.Busybox)
	if err != nil {
		return nil, fmt.Errorf("read busybox: %w", err)
	}
	modules, err := k.closure(preloaded()...)
	if err != nil {
		return nil, err
	}

	var out bytes.Buffer
	packed, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	a := &archive{out: packed}
	for _, name := range []string{"bin", "sbin", "dev", "etc", "modules", "root", "usr", "usr/bin", "usr/local", "usr/local/bin"} {
		a.directory(name)
	}
	a.device("dev/console", 5, 1) // the kernel opens it for init, before anything is mounted
	a.file("init", 0o755, init)
	a.file("bin/busybox", 0o755, busybox)
	for _, applet := range []string{"sh", "ip", "ping", "cat", "ls", "dmesg", "ps", "sleep", "mount", "umount", "true", "false"} {
		a.symlink("bin/"+applet, "busybox")
	}
	a.symlink("sbin/modprobe", "../bin/busybox") // by which the kernel asks for modules
	a.file("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n"))
	a.file("etc/group", 0o644, []byte("root:x:0:\n"))
	a.file("etc/hosts", 0o644, []byte("127.0.0.1 localhost\n::1 localhost\n"))
	for i, path := range modules {
		content, err := os.ReadFile(filepath.Join(k.Modules, path))
		if err != nil {
			return nil, fmt.Errorf("read a kernel module: %w", err)
		}
		a.file(fmt.Sprintf("modules/%03d-%s", i, filepath.Base(path)), 0o644, content)
	}
	if err := a.close(); err != nil {
		return nil, err
	}
	if err := packed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// preloaded are the modules that every machine loads at once: those by which it reaches the host, and those that nearly all
// tests need. The kernel finds the others by itself, but takes a third of a second for each.
func preloaded() []string {
	return []string{
		"virtio_pci", "virtio_console", "9pnet_virtio", "9p",
		"bridge", "ipvlan", "macvlan", "veth", "virtio_net",
		"crc32c_generic", "nf_tables", "nft_chain_nat", "nft_ct", "nft_masq", "nft_meta_bridge", "nft_nat",
	}
}

// buildInit compiles the guest's init; the Go build cache makes that quick.
func buildInit(ctx context.Context) ([]byte, error) {
	root, err := pinned.Root()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "vm-init-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "init")
	if err := Compile(ctx, root, "build", "-ldflags=-s -w", "-o", path, "./tests/vm/guest"); err != nil {
		return nil, fmt.Errorf("build the guest's init: %w", err)
	}
	return os.ReadFile(path)
}

// closure returns the files of the named modules and of all that they need, each after what it needs itself. A module that
// is not there is built into the kernel.
func (k Kit) closure(names ...string) ([]string, error) {
	// Each line is "FILE: what it needs, and what that needs, ...", the last to be loaded first.
	file, err := os.Open(filepath.Join(k.Modules, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("read the list of kernel modules: %w", err)
	}
	defer file.Close()
	needs := map[string][]string{} // by name of the module; the module's own file comes last
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		path, rest, _ := strings.Cut(lines.Text(), ":")
		name, _, _ := strings.Cut(filepath.Base(path), ".")
		list := append([]string{path}, strings.Fields(rest)...)
		slices.Reverse(list)
		needs[strings.ReplaceAll(name, "-", "_")] = list
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of kernel modules: %w", err)
	}

	var files []string
	for _, name := range names {
		for _, path := range needs[name] {
			if !slices.Contains(files, path) {
				files = append(files, path)
			}
		}
	}
	return files, nil
}

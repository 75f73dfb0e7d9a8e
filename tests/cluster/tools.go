// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// collectTools copies the programs of this machine that containerd, kubelet and kube-proxy call, and the libraries that
// these need, into the folders bin and lib. Busybox has some of them too, but not with all options.
func collectTools(ctx context.Context, folder string) error {
	for _, name := range []string{"bin", "lib"} {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			return err
		}
	}
	names := []string{
		"mount", "umount", "nsenter", "ip", "tc", "nft",
		"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
	}
	if err := os.CopyFS(filepath.Join(folder, "lib", "xtables"), os.DirFS("/usr/lib/x86_64-linux-gnu/xtables")); err != nil {
		return fmt.Errorf("copy iptables' extensions: %w", err)
	}
	for _, name := range names {
		program, err := find(name)
		if err != nil {
			return err
		}
		if err := copyFile(program, filepath.Join(folder, "bin", filepath.Base(name))); err != nil {
			return err
		}
		if err := collectLibraries(ctx, program, filepath.Join(folder, "lib")); err != nil {
			return err
		}
	}
	return nil
}

// find finds a program where Debian has programs, whatever the caller's PATH.
func find(name string) (string, error) {
	for _, folder := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %s for the nodes", name)
}

// collectLibraries copies what the program is linked with, the dynamic linker included.
func collectLibraries(ctx context.Context, program, folder string) error {
	listed, err := exec.CommandContext(ctx, "ldd", program).Output()
	if err != nil {
		return fmt.Errorf("list the libraries of %s: %w", program, err)
	}
	// "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x…)", and "/lib64/ld-linux-x86-64.so.2 (0x…)".
	for _, match := range regexp.MustCompile(`(/\S+) \(0x`).FindAllSubmatch(listed, -1) {
		path := string(match[1])
		if err := copyFile(path, filepath.Join(folder, filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file's content and permissions.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return target.Close()
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// moveRoot moves the machine into a tmpfs. The kernel's own first file system, which the initramfs was unpacked into, can
// neither be left by pivot_root, as container runtimes do, nor be measured.
func moveRoot() error {
	const target = "/root"
	if err := unix.Mount("tmpfs", target, "tmpfs", 0, "mode=0755,size=80%"); err != nil {
		return fmt.Errorf("mount the root file system: %w", err)
	}
	if err := filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path == target || path == "/modules" || path == "/dev":
			if err := os.Mkdir(filepath.Join(target, path), 0o755); err != nil {
				return err
			}
			return filepath.SkipDir
		case path == "/":
			return nil
		}
		return move(path, filepath.Join(target, path), entry)
	}); err != nil {
		return fmt.Errorf("move the root file system: %w", err)
	}
	if err := os.Chdir(target); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root file system: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("enter the root file system: %w", err)
	}
	return os.Chdir("/")
}

// move copies a file, folder or symbolic link, and frees what the file took: both are in memory.
func move(from, to string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return os.Mkdir(to, mode.Perm())
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case mode.IsRegular():
		content, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, content, mode.Perm()); err != nil {
			return err
		}
		return os.Remove(from)
	}
	return nil
}

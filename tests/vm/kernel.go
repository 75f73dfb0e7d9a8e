// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// wantBusybox says which files of busybox's package are kept.
func wantBusybox(name string) bool { return name == "bin/busybox" || name == "usr/bin/busybox" }

// wantKernel says which files of the kernel's package are kept: the kernel and, of 300 MB of modules, the 90 MB that a
// virtual machine on a network may need.
func wantKernel(name string) bool {
	if strings.HasPrefix(name, "boot/vmlinuz-") {
		return true
	}
	module := regexp.MustCompile(`^(?:usr/)?lib/modules/[^/]+/(.+)$`).FindStringSubmatch(name)
	if module == nil {
		return false
	}
	file, isModule := strings.CutPrefix(module[1], "kernel/")
	return !isModule || slices.ContainsFunc(moduleFolders(), func(folder string) bool {
		// A name with a slash at its end stands for the tree below it, one without for the folder's own files.
		return strings.HasPrefix(file, folder) && (strings.HasSuffix(folder, "/") || path.Dir(file) == folder)
	})
}

func moduleFolders() []string {
	return []string{
		"arch/", "crypto/", "lib/", "net/",
		"drivers/block", "drivers/char", "drivers/char/hw_random", "drivers/net", "drivers/net/ipvlan", "drivers/net/bonding/",
		"drivers/net/team/", "drivers/net/vxlan/", "drivers/net/wireguard/", "drivers/virtio/",
		"fs/9p/", "fs/ext4/", "fs/fscache/", "fs/jbd2/", "fs/mbcache", "fs", "fs/netfs/", "fs/overlayfs/", "fs/fuse/",
	}
}

// unpack writes the wanted files of a package below the folder. Names are relative to the root.
func unpack(ctx context.Context, file, folder string, want func(name string) bool) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", file)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stream, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	err = untar(stream, folder, want)
	if err != nil {
		stream.Close() // or dpkg-deb would wait for a reader
	}
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("%w\n%s", ended, complaints.String())
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	return nil
}

// untar writes the wanted regular files of an archive below the folder.
func untar(archive io.Reader, folder string, want func(name string) bool) (err error) {
	root, err := openRoot(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(header.Name)
		if header.Typeflag != tar.TypeReg || !want(name) {
			continue
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, fs.FileMode(header.Mode).Perm())
		if err != nil {
			return err
		}
		if _, err := io.Copy(file, reader); err != nil {
			return errors.Join(err, file.Close())
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
}

// openRoot makes a folder, out of which no file name can lead.
func openRoot(folder string) (*os.Root, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	return os.OpenRoot(folder)
}

// completeKernel makes what was unpacked usable: decompresses it, and lists what each of the modules needs and is known as,
// which the package leaves to its installation.
func completeKernel(ctx context.Context, folder string) error {
	if usr := filepath.Join(folder, "usr", "lib"); exists(usr) { // newer packages keep everything below /usr
		if err := os.Rename(usr, filepath.Join(folder, "lib")); err != nil {
			return err
		}
	}
	if err := decompress(ctx, folder); err != nil {
		return err
	}
	release, err := newest(filepath.Join(folder, "lib", "modules"))
	if err != nil {
		return fmt.Errorf("the kernel package has no modules: %w", err)
	}
	depmod, err := program("depmod")
	if err != nil {
		return err
	}
	_, err = output(ctx, "", depmod, "-b", folder, filepath.Base(release))
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

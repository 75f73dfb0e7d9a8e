// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Kit is what machines are made of.
type Kit struct {
	QEMU    string // path of the emulator
	Busybox string // path of a static busybox
	Kernel  string // path of the kernel
	Release string // of the kernel, as uname -r has it
	Modules string // folder of the modules, /lib/modules/RELEASE in the guest
}

// Setup returns the kit. What is missing is installed or downloaded by apt and kept in the user's cache, keyed by version;
// progress, which may be nil, hears about that and nothing else. A second call takes milliseconds.
func Setup(ctx context.Context, progress io.Writer) (Kit, error) {
	if progress == nil {
		progress = io.Discard
	}
	if runtime.GOARCH != "amd64" {
		return Kit{}, fmt.Errorf("test machines run on amd64 alone, this is %s", runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Kit{}, fmt.Errorf("find the folder for kernels: %w", err)
	}
	root := filepath.Join(cache, "kubectl-underlay", "vm")
	if kit, err := find(root); err == nil {
		return kit, nil
	}

	if err := os.MkdirAll(root, 0o755); err != nil {
		return Kit{}, fmt.Errorf("make the folder for kernels: %w", err)
	}
	unlock, err := lock(filepath.Join(root, "lock"), progress)
	if err != nil {
		return Kit{}, err
	}
	defer unlock()
	if err := fetch(ctx, root, progress); err != nil {
		return Kit{}, fmt.Errorf("set up test machines: %w", err)
	}
	return find(root)
}

const (
	kernelFolder  = "kernel-2"  // the number grows when completeKernel or wantKernel change
	busyboxFolder = "busybox-1" // likewise
	emulator      = "qemu-system-x86_64"
)

// find returns the kit of what is there. The error says what is not.
func find(root string) (Kit, error) {
	qemu, err := program(emulator)
	if err != nil {
		return Kit{}, err
	}
	kernel, err := newest(filepath.Join(root, kernelFolder))
	if err != nil {
		return Kit{}, err
	}
	busybox, err := newest(filepath.Join(root, busyboxFolder))
	if err != nil {
		return Kit{}, err
	}
	release, err := newest(filepath.Join(kernel, "lib", "modules"))
	if err != nil {
		return Kit{}, err
	}
	image := filepath.Join(kernel, "boot", "vmlinux")
	if !exists(image) {
		image = filepath.Join(kernel, "boot", "vmlinuz-"+filepath.Base(release))
	}
	return Kit{
		QEMU:    qemu,
		Busybox: filepath.Join(busybox, "bin", "busybox"),
		Kernel:  image,
		Release: filepath.Base(release),
		Modules: release,
	}, nil
}

// fetch fetches what find misses.
func fetch(ctx context.Context, root string, progress io.Writer) error {
	apt := &apt{progress: progress}
	var packages []string
	for name, pkg := range map[string]string{emulator: "qemu-system-x86", "depmod": "kmod", "xz": "xz-utils"} {
		if _, err := program(name); err != nil {
			packages = append(packages, pkg)
		}
	}
	if len(packages) > 0 {
		slices.Sort(packages)
		if err := apt.install(ctx, packages...); err != nil {
			return err
		}
	}
	if _, err := newest(filepath.Join(root, busyboxFolder)); err != nil {
		if err := fetchPackage(ctx, apt, filepath.Join(root, busyboxFolder), "busybox-static", checkBusybox, wantBusybox); err != nil {
			return err
		}
	}
	if _, err := newest(filepath.Join(root, kernelFolder)); err != nil {
		name, version, err := apt.kernel(ctx)
		if err != nil {
			return err
		}
		return fetchPackage(ctx, apt, filepath.Join(root, kernelFolder), name+"="+version, completeKernel, wantKernel)
	}
	return nil
}

// fetchPackage downloads the package, unpacks what is wanted of it without installing anything, and completes the result,
// which then appears as a folder named after the package file.
func fetchPackage(ctx context.Context, apt *apt, folder, name string, complete func(context.Context, string) error, want func(string) bool) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(folder, ".fetching-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	file, err := apt.download(ctx, temporary, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(apt.progress, "unpacking %s …\n", filepath.Base(file))
	unpacked := filepath.Join(temporary, "unpacked")
	if err := unpack(ctx, file, unpacked, want); err != nil {
		return err
	}
	if err := complete(ctx, unpacked); err != nil {
		return err
	}
	return os.Rename(unpacked, filepath.Join(folder, strings.TrimSuffix(filepath.Base(file), ".deb")))
}

// newest returns the entry of the folder that changed last: what was fetched last, if there are several.
func newest(folder string) (string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	var found string
	var when int64
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		if changed := info.ModTime().UnixNano(); found == "" || changed > when {
			found, when = filepath.Join(folder, entry.Name()), changed
		}
	}
	if found == "" {
		return "", fmt.Errorf("nothing in %s", folder)
	}
	return found, nil
}

// program finds a program, also where only root's PATH leads.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no program %s", name)
}

// checkBusybox makes sure that the busybox runs without libraries.
func checkBusybox(_ context.Context, folder string) (err error) {
	file, err := elf.Open(filepath.Join(folder, "bin", "busybox"))
	if err != nil {
		return fmt.Errorf("look at busybox: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("busybox is not static")
	}
	return nil
}

// lock makes parallel processes fetch everything once. The kernel releases the lock of a process that dies.
func lock(path string, progress io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of test machines: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintln(progress, "waiting for another process that sets up test machines …")
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

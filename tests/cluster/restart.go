// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// What a node keeps on its disk, with Options.Disks: all else is in memory, and gone after a reboot.
const (
	guestDisk = "/disk"
	diskSize  = 4 << 30 // bytes; the image takes what is written
)

func diskFolders() []string {
	return []string{"/etc/cni", "/etc/kubernetes", "/opt/cni", "/var/lib", "/var/log"}
}

// makeDisk makes the image of a disk with a file system.
func makeDisk(ctx context.Context, path string) error {
	image, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(image.Truncate(diskSize), image.Close()); err != nil {
		return err
	}
	program, err := find("mkfs.ext4")
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, "-q", "-F", path).CombinedOutput(); err != nil {
		return fmt.Errorf("make a file system in %s: %w\n%s", path, err, out)
	}
	return nil
}

// mountScript mounts the disk, and from it what is kept there. It comes before anything is written.
func mountScript() []string {
	return []string{
		"modprobe -a virtio_blk ext4",
		"mkdir " + guestDisk,
		"mount -t ext4 -o noatime /dev/vda " + guestDisk,
		"for folder in " + strings.Join(diskFolders(), " ") + "; do mkdir -p " + guestDisk + "$folder $folder; mount --bind " + guestDisk + "$folder $folder; done",
		// What somebody has put there is in memory after the next boot, as where a machine does not empty /run.
		"if [ -d " + guestDisk + "/run ]; then cp -a " + guestDisk + "/run/. /run/; fi",
	}
}

// Restart cuts the node's power and boots it anew. What it has not written to its disk is lost. It returns when the node's daemons run again: the kubelet
// then starts the node's pods. It needs Options.Disks.
func (n *Node) Restart(ctx context.Context) error {
	if n.vm == nil || !n.disk {
		return fmt.Errorf("restart node %s: it does not run, or has no disk", n.Name)
	}
	if err := n.vm.Close(); err != nil {
		return fmt.Errorf("cut the power of node %s: %w", n.Name, err)
	}
	n.daemons.Wait()
	n.boots++
	if err := os.Rename(n.KernelLog(), fmt.Sprintf("%s.%d", n.KernelLog(), n.boots)); err != nil {
		return fmt.Errorf("restart node %s: %w", n.Name, err)
	}
	if err := n.boot(ctx); err != nil {
		return fmt.Errorf("restart node %s: %w", n.Name, err)
	}
	return nil
}

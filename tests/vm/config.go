// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/underlay-dev/kubectl-underlay/tests/vm/wire"
)

// Config says what a machine is made of. The zero value is a machine without network and shares.
type Config struct {
	MemoryMiB int     // 1024 if 0
	CPUs      int     // 2 if 0
	Shares    []Share // besides the kernel's modules, which every machine has
	NICs      []NIC   // eth0, eth1, … in this order
	// Disk is a raw image of the host's: /dev/vda in the guest, once the module virtio_blk is loaded. What the guest has written is there for the next
	// machine, however this one ends; what its kernel still held back is not. There is none if it is empty.
	Disk string
	// KernelLog is where the guest's console goes; a temporary file, which goes with the machine, if empty.
	KernelLog string
}

// Share is a folder of the host that the guest sees, read-only. It must not change while the guest runs.
type Share struct {
	Host  string // path on the host
	Guest string // path in the guest
}

// NIC is a network card on a tap.
type NIC struct {
	Tap *os.File // an open tap with IFF_VNET_HDR; the machine uses it until it ends, and the caller closes it
	MAC net.HardwareAddr
	MTU int // 0 for 1500
}

// arguments returns QEMU's arguments. The agent's connection is descriptor 3, the taps are 4 and up.
//
// The machine has no fast string instructions (erms, fsrm; rep_good is the kernel's word for older ones). QEMU makes each of their steps one by one: with a
// kernel that trusts them, half of the code that ran for a short process was clearing memory.
func (c Config) arguments(kit Kit, initramfs, log string) []string {
	args := []string{
		"-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,-erms,-fsrm",
		"-smp", fmt.Sprint(c.CPUs), "-m", fmt.Sprint(c.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", kit.Kernel, "-initrd", initramfs,
		"-chardev", "file,id=log,path=" + escape(log), "-serial", "chardev:log",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,fd=3", "-device", "virtserialport,chardev=agent,name=" + wire.Port,
	}
	line := []string{
		"console=ttyS0", "quiet", "panic=-1", "net.ifnames=0", "cgroup_no_v1=all", "mitigations=off", "nokaslr", "audit=0",
		"selinux=0", "apparmor=0", "random.trust_cpu=on", "no_timer_check", "clearcpuid=rep_good",
	}
	shares := append([]Share{{Host: kit.Modules, Guest: "/lib/modules/" + kit.Release}}, c.Shares...)
	for i, share := range shares {
		tag := fmt.Sprintf("share%d", i)
		args = append(args, "-virtfs", fmt.Sprintf("local,path=%s,mount_tag=%s,security_model=none,readonly=on,multidevs=remap",
			escape(share.Host), tag))
		line = append(line, "underlay.share="+tag+":"+share.Guest)
	}
	if c.Disk != "" {
		// Host and image outlive the machine, so what its kernel flushes need not reach the host's own disk.
		args = append(args, "-drive", "if=none,id=disk,format=raw,cache=unsafe,file="+escape(c.Disk), "-device", "virtio-blk-pci,drive=disk")
	}
	for i, nic := range c.NICs {
		device := fmt.Sprintf("virtio-net-pci,netdev=nic%d,mac=%s,romfile=", i, nic.MAC)
		if nic.MTU > 0 {
			device += fmt.Sprintf(",host_mtu=%d", nic.MTU)
		}
		args = append(args, "-netdev", fmt.Sprintf("tap,id=nic%d,fd=%d", i, firstTap+i), "-device", device)
	}
	return append(args, "-append", strings.Join(line, " "))
}

// firstTap is the descriptor of the first tap in QEMU: its connections to the agent comes before.
const firstTap = 4

// escape makes a path part of a list of options, in which commas are doubled.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

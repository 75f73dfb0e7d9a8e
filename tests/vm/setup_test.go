// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSetupAgainIsQuickAndQuiet(t *testing.T) {
	ForTest(t)
	var progress bytes.Buffer
	start := time.Now()
	kit, err := Setup(t.Context(), &progress)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > time.Second || progress.Len() > 0 {
		t.Errorf("took %s and said %q, want milliseconds and nothing", took, progress.String())
	}
	for _, path := range []string{kit.QEMU, kit.Busybox, kit.Kernel, filepath.Join(kit.Modules, "modules.dep")} {
		if !exists(path) {
			t.Errorf("%s does not exist", path)
		}
	}
}

func TestSetupWithoutApt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := Setup(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "qemu-system-x86") || !strings.Contains(err.Error(), "no apt-get") {
		t.Errorf("error %v, want one that names QEMU's package and the lack of apt-get", err)
	}
}

func TestWantKernel(t *testing.T) {
	for name, want := range map[string]bool{
		"boot/vmlinuz-6.1.0-56-amd64":                                           true,
		"boot/System.map-6.1.0-56-amd64":                                        false,
		"lib/modules/6.1.0-56-amd64/modules.builtin":                            true,
		"usr/lib/modules/6.12.0-1-amd64/modules.builtin":                        true,
		"lib/modules/6.1.0-56-amd64/kernel/drivers/net/veth.ko":                 true,
		"lib/modules/6.1.0-56-amd64/kernel/drivers/net/ipvlan/ipvlan.ko":        true,
		"lib/modules/6.1.0-56-amd64/kernel/drivers/net/ethernet/intel/e1000.ko": false,
		"lib/modules/6.1.0-56-amd64/kernel/net/sched/act_ct.ko":                 true,
		"lib/modules/6.1.0-56-amd64/kernel/sound/core/snd.ko":                   false,
		"lib/modules/6.1.0-56-amd64/kernel/fs/xfs/xfs.ko":                       false,
	} {
		if got := wantKernel(name); got != want {
			t.Errorf("wantKernel(%q) = %t, want %t", name, got, want)
		}
	}
}

func TestClosure(t *testing.T) {
	kit := Kit{Modules: t.TempDir()}
	const dep = "kernel/b.ko:\nkernel/a-x.ko: kernel/b.ko\nkernel/c.ko: kernel/a-x.ko kernel/b.ko\n"
	if err := os.WriteFile(filepath.Join(kit.Modules, "modules.dep"), []byte(dep), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := kit.closure("a_x", "built_in", "c")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"kernel/b.ko", "kernel/a-x.ko", "kernel/c.ko"}, got); diff != "" {
		t.Errorf("files of the modules (-want +got):\n%s", diff)
	}
}

// TestArchive unpacks an archive with busybox.
func TestArchive(t *testing.T) {
	kit := ForTest(t)
	var archived bytes.Buffer
	a := &archive{out: &archived}
	a.directory("folder")
	a.file("folder/odd length", 0o640, []byte("12345"))
	a.symlink("folder/link", "odd length")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), kit.Busybox, "cpio", "-i")
	cmd.Dir, cmd.Stdin = folder, &archived
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v\n%s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(folder, "folder", "link"))
	if err != nil || string(content) != "12345" {
		t.Errorf("the file behind the link holds %q, %v; want 12345", content, err)
	}
	info, err := os.Stat(filepath.Join(folder, "folder", "odd length"))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("the file has the mode %v, %v; want %v", info.Mode(), err, os.FileMode(0o640))
	}
}

func TestPayloadOf(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty":      nil,
		"no kernel":  bytes.Repeat([]byte("x"), 4096),
		"cut short ": append(make([]byte, 0x202), append([]byte("HdrS"), bytes.Repeat([]byte{0xff}, 0x100)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			if payload, err := payloadOf(content); err == nil {
				t.Errorf("found a payload of %d bytes", len(payload))
			}
		})
	}
}

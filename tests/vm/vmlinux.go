// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// decompress replaces what the kernel package keeps compressed, for the sake of speed: QEMU starts the kernel proper
// directly, while the emulated CPU takes 5 s to unpack vmlinuz; and the guest's modprobe need not know xz.
func decompress(ctx context.Context, folder string) error {
	packed, err := filepath.Glob(filepath.Join(folder, "boot", "vmlinuz-*"))
	if err != nil || len(packed) != 1 {
		return fmt.Errorf("the kernel package has the kernels %q, want one", packed)
	}
	if err := decompressKernel(ctx, packed[0], filepath.Join(folder, "boot", "vmlinux")); err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(folder, "lib", "modules", "*", "kernel"))
	if err != nil || len(modules) != 1 {
		return fmt.Errorf("the kernel package has the module folders %q, want one", modules)
	}
	_, err = output(ctx, modules[0], "find", ".", "-name", "*.ko.xz", "-exec", "xz", "--decompress", "{}", "+")
	return err
}

// decompressKernel writes the ELF file that is the payload of a bzImage. A payload in another format than xz is left to
// the guest: a slow start, but a start.
func decompressKernel(ctx context.Context, bzImage, vmlinux string) error {
	content, err := os.ReadFile(bzImage)
	if err != nil {
		return fmt.Errorf("read the kernel: %w", err)
	}
	payload, err := payloadOf(content)
	if err != nil {
		return fmt.Errorf("decompress %s: %w", bzImage, err)
	}
	if !bytes.HasPrefix(payload, []byte("\xfd7zXZ\x00")) {
		return nil
	}
	cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout", "--single-stream") // four bytes of length follow it
	cmd.Stdin = bytes.NewReader(payload)
	unpacked, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("decompress %s: %w", bzImage, err)
	}
	return os.WriteFile(vmlinux, unpacked, 0o644)
}

// payloadOf finds the compressed kernel in a bzImage by its header, which the kernel's "Linux/x86 boot protocol" describes.
func payloadOf(bzImage []byte) ([]byte, error) {
	const (
		setupSectors = 0x1f1 // of 512 bytes, besides the boot sector
		magic        = 0x202 // "HdrS"
		offset       = 0x248 // from the end of the setup; version 2.08 of the protocol or later
		length       = 0x24c
		headerEnd    = 0x250
	)
	if len(bzImage) < headerEnd || string(bzImage[magic:magic+4]) != "HdrS" {
		return nil, errors.New("not a bzImage")
	}
	start := (int(bzImage[setupSectors])+1)*512 + int(binary.LittleEndian.Uint32(bzImage[offset:]))
	end := start + int(binary.LittleEndian.Uint32(bzImage[length:]))
	if end > len(bzImage) {
		return nil, errors.New("cut short")
	}
	return bzImage[start:end], nil
}

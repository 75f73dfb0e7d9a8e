// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelTypes is where the kernel shows its types, and the functions that programs may call, one file for itself and one for each module. (Linux,
// Documentation/bpf/btf.rst.)
const kernelTypes = "/sys/kernel/btf/"

// types of the kernel or of a module, as a file of kernelTypes has them. A module's continue the kernel's: in numbers and in offsets of names.
type types struct {
	records, names []byte
	// firstID and firstName are what this file's begin with.
	firstID, firstName uint32
}

func readTypes(file string, base *types) (*types, error) {
	data, err := os.ReadFile(kernelTypes + file)
	if err != nil {
		return nil, err
	}
	return parseTypes(data, base)
}

// parseTypes reads a file's header.
func parseTypes(data []byte, base *types) (*types, error) {
	const magic, least = 0xeb9f, 24
	order := binary.NativeEndian
	if len(data) < least || order.Uint16(data) != magic {
		return nil, errors.New("the kernel's types are none")
	}
	part := func(at int) []byte {
		start := uint64(order.Uint32(data[4:])) + uint64(order.Uint32(data[at:]))
		end := start + uint64(order.Uint32(data[at+4:]))
		if end > uint64(len(data)) {
			return nil
		}
		return data[start:end]
	}
	t := &types{records: part(8), names: part(16), firstID: 1}
	if base != nil {
		last, err := base.each(func(uint32, uint32, int) bool { return true })
		if err != nil {
			return nil, err
		}
		t.firstID, t.firstName = last+1, uint32(len(base.names))
	}
	return t, nil
}

// each calls fn with the number, the name's offset and the kind of each type until that says false, and returns the last number.
func (t *types) each(fn func(id, name uint32, kind int) bool) (uint32, error) {
	// What stands behind a type, by its kind: bytes, and bytes for each of its members.
	const head = 12
	behind := []struct{ fixed, member int }{
		1: {4, 0}, 2: {}, 3: {12, 0}, 4: {0, 12}, 5: {0, 12}, 6: {0, 8}, 7: {}, 8: {}, 9: {}, 10: {}, 11: {}, 12: {}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12},
		16: {}, 17: {4, 0}, 18: {}, 19: {0, 12},
	}
	id := t.firstID - 1
	for rest := t.records; len(rest) > 0; {
		if len(rest) < head {
			return 0, errors.New("the kernel's types are cut short")
		}
		info := binary.NativeEndian.Uint32(rest[4:])
		kind, members := int(info>>24&0x1f), int(info&0xffff)
		if kind == 0 || kind >= len(behind) {
			return 0, fmt.Errorf("the kernel's types have an unknown kind %d", kind)
		}
		size := head + behind[kind].fixed + members*behind[kind].member
		if len(rest) < size {
			return 0, errors.New("the kernel's types are cut short")
		}
		id++
		if !fn(id, binary.NativeEndian.Uint32(rest), kind) {
			break
		}
		rest = rest[size:]
	}
	return id, nil
}

// functions finds functions' numbers by their names; those that are not there are left out.
func (t *types) functions(names ...string) (map[string]uint32, error) {
	const function = 12
	found := map[string]uint32{}
	_, err := t.each(func(id, name uint32, kind int) bool {
		at := int(name) - int(t.firstName)
		if kind != function || at < 0 || at >= len(t.names) {
			return true
		}
		text, _, _ := bytes.Cut(t.names[at:], []byte{0})
		if slices.Contains(names, string(text)) {
			found[string(text)] = id
		}
		return len(found) < len(names)
	})
	return found, err
}

// moduleTypes opens a module's types for the kernel's use; the caller closes the descriptor.
func moduleTypes(module string) (int, error) {
	for id := uint32(0); ; {
		next := struct{ id, next, flags uint32 }{id: id}
		if _, err := callBPF(unix.BPF_BTF_GET_NEXT_ID, unsafe.Pointer(&next), unsafe.Sizeof(next)); err != nil {
			return 0, fmt.Errorf("look for the types of module %s: %w", module, err)
		}
		id = next.next
		by := struct{ id, next, flags uint32 }{id: id}
		fd, err := callBPF(unix.BPF_BTF_GET_FD_BY_ID, unsafe.Pointer(&by), unsafe.Sizeof(by))
		if err != nil {
			continue // gone meanwhile
		}
		if name, err := typesName(fd); err == nil && name == module {
			return fd, nil
		}
		_ = unix.Close(fd)
	}
}

// typesName is the module's, or "vmlinux"; empty for programs' types.
func typesName(fd int) (string, error) {
	name := make([]byte, 64)
	var pins runtime.Pinner
	defer pins.Unpin()
	info := &struct {
		types         uint64
		size, id      uint32
		name          uint64
		length, inner uint32
	}{name: pin(&pins, &name[0]), length: uint32(len(name))}
	ask := struct {
		fd, length uint32
		info       uint64
	}{uint32(fd), uint32(unsafe.Sizeof(*info)), pin(&pins, info)}
	_, err := callBPF(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&ask), unsafe.Sizeof(ask))
	text, _, _ := bytes.Cut(name, []byte{0})
	return string(text), err
}

// callBPF is the system call.
func callBPF(command int, attributes unsafe.Pointer, size uintptr) (int, error) {
	for {
		result, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attributes), size)
		switch errno {
		case 0:
			return int(result), nil
		case unix.EAGAIN, unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// archive writes a cpio archive in the "newc" format, the one that Linux unpacks as its initramfs: for each file a header
// of a magic and thirteen eight-digit hexadecimal numbers, the name with a zero byte, and the content, name and content
// padded to four bytes. Errors stick; close returns the first.
type archive struct {
	out     io.Writer
	written int // bytes
	files   int // serves as inode number
	err     error
}

// The kernel knows types by the bits that stat uses, not by Go's.
const (
	modeDirectory = 0o040000
	modeRegular   = 0o100000
	modeSymlink   = 0o120000
	modeDevice    = 0o020000 // of characters
)

func (a *archive) directory(name string) { a.entry(name, modeDirectory|0o755, nil, 0, 0) }

func (a *archive) file(name string, mode fs.FileMode, content []byte) {
	a.entry(name, modeRegular|uint32(mode.Perm()), content, 0, 0)
}

func (a *archive) symlink(name, target string) {
	a.entry(name, modeSymlink|0o777, []byte(target), 0, 0)
}

func (a *archive) device(name string, major, minor int) {
	a.entry(name, modeDevice|0o600, nil, major, minor)
}

func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil, 0, 0)
	return a.err
}

func (a *archive) entry(name string, mode uint32, content []byte, major, minor int) {
	a.files++
	// Magic, inode, mode, user, group, links, time, size, device, device of a special file, length of the name, checksum.
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.files, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0))
	a.write([]byte(name + "\x00"))
	a.pad()
	a.write(content)
	a.pad()
}

func (a *archive) pad() {
	a.write([]byte(strings.Repeat("\x00", -a.written&3)))
}

func (a *archive) write(p []byte) {
	if a.err != nil {
		return
	}
	n, err := a.out.Write(p)
	a.written += n
	a.err = err
}

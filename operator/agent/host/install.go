// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// program is one that a runtime needs in its folder of CNI programs.
type program struct {
	name string
	// ours is of this release whatever is there. Others' are left as they are: a node's distribution brings them too.
	ours bool
}

// programs that runtimes need to start pods: loopback for each, and those of the default configuration.
func programs() []program {
	return []program{{"underlay", true}, {"portmap", false}, {"loopback", false}}
}

const (
	programMode = 0o755
	configMode  = 0o644
)

// install copies our CNI programs to where runtimes look for them, unless they are there already.
func (h *Host) install() error {
	var errs []error
	for _, p := range programs() {
		target := filepath.Join(h.paths.CNIBin, p.name)
		if _, err := os.Stat(target); err == nil && !p.ours {
			continue
		}
		if err := h.installProgram(filepath.Join(h.paths.Plugins, p.name), target); err != nil {
			errs = append(errs, fmt.Errorf("install the CNI program %s: %w", p.name, err))
		}
	}
	return errors.Join(errs...)
}

func (h *Host) installProgram(source, target string) error {
	// The contents are megabytes: they are compared again only when something about one of the files is new.
	before, err := identify(source)
	if err != nil {
		return err
	}
	if now, err := identify(target); err == nil && h.installed[target] == [2]identity{before, now} {
		return nil
	}
	equal, err := sameProgram(source, target)
	if err != nil {
		return err
	}
	if !equal {
		if err := replaceBy(target, programMode, func(w io.Writer) error { return copyFrom(source, w) }); err != nil {
			return err
		}
		h.log.Info("installed a CNI program", "path", target)
	}
	now, err := identify(target)
	h.installed[target] = [2]identity{before, now}
	return err
}

// identity of a file's content, as far as its metadata tell.
type identity struct {
	device, inode    uint64
	size             int64
	modified, change unix.Timespec
}

func identify(path string) (identity, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return identity{}, &os.PathError{Op: "inspect", Path: path, Err: err}
	}
	return identity{s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim}, nil
}

// sameProgram says whether the target has the source's content, and can be executed. A target that cannot be read is another; an error is about the
// source.
func sameProgram(source, target string) (bool, error) {
	theirs, targetErr := fingerprint(target)
	if info, err := os.Lstat(target); err != nil || info.Mode() != programMode {
		targetErr = errors.Join(targetErr, err, os.ErrPermission) // not a file, or not a program
	}
	ours, err := fingerprint(source)
	return targetErr == nil && ours == theirs, err
}

func fingerprint(path string) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	err = copyFrom(path, hash)
	hash.Sum(sum[:0])
	return sum, err
}

func copyFrom(source string, w io.Writer) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// same says whether the file has this content.
func same(path string, content []byte) bool {
	existing, err := os.ReadFile(path)
	return err == nil && bytes.Equal(existing, content)
}

// replace puts the content at path.
func replace(path string, content []byte, mode os.FileMode) error {
	return replaceBy(path, mode, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// replaceBy puts what fill writes at path, by a rename: a running program is not "busy" then, and nobody sees a half. What a killed agent left of an
// earlier try is overwritten. Runtimes ignore the temporary file: its name has no ending that they know.
func replaceBy(path string, mode os.FileMode, fill func(w io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	err := writeFile(temporary, mode, fill)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// writeFile leaves on the disk what fill writes, with the mode whatever the umask says.
func writeFile(path string, mode os.FileMode, fill func(w io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	err = fill(file)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Encode gives the bytes of a node file, after checking it. Equal files give equal bytes.
func Encode(f *File) ([]byte, error) {
	written := *f
	written.Version = Version
	if err := written.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(&written); err != nil {
		return nil, fmt.Errorf("encode node file: %w", err)
	}
	if b.Len() > MaxSize {
		return nil, &InvalidError{Problems: []string{fmt.Sprintf("it would have %d bytes, more than %d: remove pools or ranges", b.Len(), MaxSize)}}
	}
	return b.Bytes(), nil
}

// Write replaces the node file at path, and makes its folder where it is missing. The caller holds the allocation store's lock.
// When it fails, the file at path is the old one still.
func Write(path string, f *File) error {
	data, err := Encode(f)
	if err != nil {
		return err
	}
	return put(path, data)
}

// Update does as Write where the file at path says something else, and tells whether it did.
func Update(path string, f *File) (changed bool, err error) {
	data, err := Encode(f)
	if err != nil {
		return false, err
	}
	if existing, err := os.ReadFile(path); err == nil && bytes.Equal(existing, data) {
		return false, nil
	}
	return true, put(path, data)
}

// put replaces the file at path.
func put(path string, data []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the node file's folder: %w", err)
	}
	// One fixed name: the lock admits one writer, and what a killed writer left is overwritten instead of piling up.
	temporary := filepath.Join(folder, "."+filepath.Base(path)+".tmp")
	if err := writeSynced(temporary, data); err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("write node file: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("put node file in place: %w", err)
	}
	if err := syncFolder(folder); err != nil {
		return fmt.Errorf("sync the node file's folder: %w", err)
	}
	return nil
}

// writeSynced leaves data on the disk at path, mode 0644 whatever the umask says: unprivileged tools may read the file.
func writeSynced(path string, data []byte) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(0o644)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// syncFolder makes a rename in folder survive a power cut.
func syncFolder(folder string) error {
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package nodefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// MaxSize of a node file in bytes. 30 pools with three full lists of 128 IPv6 ranges are 1 MiB.
const MaxSize = 4 << 20

// VersionError says that a node file is of a schema version that this program does not understand.
type VersionError struct {
	// Path of the file; empty for bytes.
	Path string
	// Found is the file's version, 0 if it has none; Known is Version.
	Found, Known int
	// Writer is who wrote the file; may be empty.
	Writer string
}

func (e *VersionError) Error() string {
	writer := e.Writer
	if writer == "" {
		writer = "an unknown program"
	}
	if e.Found <= 0 {
		return fmt.Sprintf("node file %s has no version: it is not a node file of underlay, or damaged; restart the node's underlay agent to have it written anew", e.Path)
	}
	if e.Found < e.Known {
		return fmt.Sprintf("node file %s is of version %d, written by %s, and this program reads version %d: the node's underlay agent is older than its CNI binary; "+
			"upgrade the agent, which writes the file anew", e.Path, e.Found, writer, e.Known)
	}
	return fmt.Sprintf("node file %s is of version %d, written by %s, and this program reads version %d: the CNI binary is older than the node's underlay agent; "+
		"restart the agent, which installs the binary of its own release", e.Path, e.Found, writer, e.Known)
}

// InvalidError says what is wrong with a node file.
type InvalidError struct {
	// Path of the file; empty for a File in memory.
	Path string
	// Problems, at least one; each names the object.
	Problems []string
}

func (e *InvalidError) Error() string {
	name := "node file"
	if e.Path != "" {
		name += " " + e.Path
	}
	return fmt.Sprintf("%s is not valid: %s", name, strings.Join(e.Problems, "; "))
}

// Read reads and checks the node file at path. A missing file is fs.ErrNotExist; others are *VersionError and *InvalidError.
func Read(path string) (*File, error) {
	data, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no node file %s: the underlay agent of this node has not written one yet; check that its pod runs here: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read node file: %w", err)
	}
	f, err := Decode(data)
	var version *VersionError
	var invalid *InvalidError
	switch {
	case errors.As(err, &version):
		version.Path = path
	case errors.As(err, &invalid):
		invalid.Path = path
	}
	return f, err
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: remove it, and the underlay agent writes it anew", path)
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes, more than %d: it is not a node file", path, info.Size(), MaxSize)
	}
	data := make([]byte, info.Size(), info.Size()+1)
	n, err := io.ReadFull(file, data)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil
}

// Decode reads and checks the bytes of a node file: one JSON object, nothing behind it, no unknown field.
func Decode(data []byte) (*File, error) {
	f, err := decodeAny(data)
	if err != nil {
		// What another version wrote is about the version, whatever else is new to us.
		if version := versionOf(data); version != nil {
			return nil, version
		}
		return nil, &InvalidError{Problems: []string{explain(data, err)}}
	}
	if f.Version != Version {
		return nil, &VersionError{Found: f.Version, Known: Version, Writer: f.Writer}
	}
	if err := f.Validate(); err != nil {
		return nil, err
	}
	return f, nil
}

func decodeAny(data []byte) (*File, error) {
	if f, plain := decodePlain(data); plain {
		return f, nil
	}
	return decodeStrictly(data)
}

func decodeStrictly(data []byte) (*File, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	f := &File{}
	if err := decoder.Decode(f); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(data[decoder.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("something stands behind the object, at byte %d", len(data)-len(rest))
	}
	return f, nil
}

// versionOf is the error for data that is whole JSON of another version; nil for anything else.
func versionOf(data []byte) *VersionError {
	var head struct {
		Version int    `json:"version"`
		Writer  string `json:"writer"`
	}
	readable := json.Unmarshal(data, &head) == nil
	if !readable || head.Version == Version {
		return nil // what else is wrong is somebody else's question
	}
	return &VersionError{Found: head.Version, Known: Version, Writer: head.Writer}
}

// explain says what a JSON error means for a node file.
func explain(data []byte, err error) string {
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return "it is empty; restart the node's underlay agent to have it written anew"
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(data)), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("it ends in the middle, after %d bytes: half-written; restart the node's underlay agent to have it written anew", len(data))
	case errors.As(err, &syntax):
		return fmt.Sprintf("byte %d: %v", syntax.Offset, syntax)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

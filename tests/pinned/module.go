// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package pinned

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// Module is a folder whose go.mod and go.sum pin programs, and the programs that can be built from it.
type Module struct {
	Dir      string // relative to the root of the repository
	Programs []Program
}

// Program is one executable of a Module.
type Program struct {
	Name    string        // file name of the executable
	Package string        // import path of its main package, a tool of the module's go.mod
	Version string        // as shown to people
	Vars    []string      // "package.variable=value", set by the linker
	Tags    []string      // build tags
	CGO     bool          // whether it needs a C compiler and static libraries; every program is static
	Takes   time.Duration `json:"-"` // about how long a cold build lasts on two idle cores
}

// program returns the module's program of that name.
func (m Module) program(name string) (Program, error) {
	i := slices.IndexFunc(m.Programs, func(p Program) bool { return p.Name == name })
	if i < 0 {
		return Program{}, fmt.Errorf("module %s has no program %q", m.Dir, name)
	}
	return m.Programs[i], nil
}

// folder returns where the module's programs are kept, given the module's absolute path.
func (m Module) folder(dir string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for built programs: %w", err)
	}
	key, err := m.key(dir)
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "kubectl-underlay", key), nil
}

// key hashes what decides about the programs' content: the pinned versions, how they are built and by which Go.
func (m Module) key(dir string) (string, error) {
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("read what module %s pins: %w", m.Dir, err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
	}
	programs, err := json.Marshal(m.Programs)
	if err != nil {
		return "", fmt.Errorf("describe the programs of module %s: %w", m.Dir, err)
	}
	fmt.Fprintf(hash, "%s %s %s %q %s", runtime.Version(), runtime.GOOS, runtime.GOARCH, buildFlags(), programs)
	return fmt.Sprintf("%.16x", hash.Sum(nil)), nil
}

// Root returns the root folder of this repository: the nearest one at or above the working folder that holds the main
// module. Tests run in their package's folder and "go run" in the caller's, so both find it.
func Root() (string, error) {
	const module = "module github.com/underlay-dev/kubectl-underlay\n"
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.Contains(content, []byte(module)) {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the repository: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository: neither %s nor a folder above it holds its go.mod; run from within it", start)
		}
	}
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tag is the build tag of files whose tests need the machine.
const tag = "vm"

// pkg is a package with tests that need the machine.
type pkg struct {
	path  string   // import path
	dir   string   // folder on the host
	tests []string // names of the tests that need the machine
}

// compare puts a package behind those in its folder: what is smaller finds the machine nearer to how it booted, such as kernel modules that nobody holds.
func (p pkg) compare(other pkg) int {
	const last = "~" // behind the slash
	return strings.Compare(p.path+last, other.path+last)
}

// list returns those of the packages that have tests which need the machine.
func list(ctx context.Context, patterns []string) ([]pkg, error) {
	args := append([]string{"list", "-tags=" + tag, "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var packages []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var listed struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		err := decoder.Decode(&listed)
		if errors.Is(err, io.EOF) {
			slices.SortFunc(packages, pkg.compare)
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		tests, err := testsOf(listed.Dir, slices.Concat(listed.TestGoFiles, listed.XTestGoFiles))
		if err != nil {
			return nil, fmt.Errorf("look for tests in %s: %w", listed.ImportPath, err)
		}
		if len(tests) > 0 {
			packages = append(packages, pkg{path: listed.ImportPath, dir: listed.Dir, tests: tests})
		}
	}
}

// testsOf returns the names of the tests in those files that are only compiled with the tag.
func testsOf(dir string, files []string) ([]string, error) {
	without := build.Default
	without.GOOS, without.GOARCH, without.BuildTags = "linux", "amd64", nil
	var tests []string
	for _, name := range files {
		plain, err := without.MatchFile(dir, name)
		if err != nil {
			return nil, err
		}
		if plain {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && isTest(function.Name.Name) {
				tests = append(tests, function.Name.Name)
			}
		}
	}
	return tests, nil
}

func isTest(name string) bool {
	return name != "TestMain" && (strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz") || strings.HasPrefix(name, "Example"))
}

// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// cniPlugins is the module that portmap and loopback come from; go.mod says in which version.
const cniPlugins = "github.com/containernetworking/plugins"

// smallPages is for programs that end after milliseconds. Where the kernel gives huge pages to everyone, Go's heap gets one at once, and zeroing 2 MiB
// takes longer than all that the CNI does with them. (The setting is one of GODEBUG, which may not be set in the source.) The Makefile has it too.
const smallPages = "-X runtime.godebugDefault=disablethp=1"

// program is an executable of the image.
type program struct {
	name   string
	path   string // in the image
	plugin string // the folder below cniPlugins' plugins; empty: it is our own
}

// programs lists what the image runs, which is each cmd/underlay-*, and the CNI plugins that the agent copies to its host.
func (b build) programs() ([]program, error) {
	mains, err := filepath.Glob(filepath.Join(b.root, "cmd", "underlay-*"))
	if err != nil {
		return nil, err
	}
	list := []program{
		{name: "underlay", path: "opt/underlay/bin/underlay"},
		{name: "portmap", path: "opt/underlay/bin/portmap", plugin: "meta"},
		{name: "loopback", path: "opt/underlay/bin/loopback", plugin: "main"},
	}
	for _, main := range mains {
		list = append(list, program{name: filepath.Base(main), path: "usr/local/bin/" + filepath.Base(main)})
	}
	return list, nil
}

// compile builds the programs into the folder. What is current there already is left alone.
func (b build) compile(ctx context.Context, arch string, programs []program, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var ours, short, plugins []string
	for _, p := range programs {
		switch {
		case p.plugin != "":
			plugins = append(plugins, cniPlugins+"/plugins/"+p.plugin+"/"+p.name)
		case p.name == "underlay":
			short = append(short, "./cmd/"+p.name)
		default:
			ours = append(ours, "./cmd/"+p.name)
		}
	}
	variables := fmt.Sprintf("-X main.version=%s -X main.commit=%s -X main.date=%s", b.version, b.commit, b.date)
	if err := goBuild(ctx, b.root, arch, variables, folder+string(filepath.Separator), ours...); err != nil {
		return err
	}
	if err := goBuild(ctx, b.root, arch, variables+" "+smallPages, folder+string(filepath.Separator), short...); err != nil {
		return err
	}
	pins := filepath.Join(b.root, "internal", "tools", "image")
	version, err := exec.CommandContext(ctx, "go", "-C", pins, "list", "-m", "-f={{.Version}}", cniPlugins).Output()
	if err != nil {
		return fmt.Errorf("find the version of %s: %w", cniPlugins, err)
	}
	variables = fmt.Sprintf("-X %s/pkg/utils/buildversion.BuildVersion=%s", cniPlugins, bytes.TrimSpace(version))
	return goBuild(ctx, pins, arch, variables+" "+smallPages, folder+string(filepath.Separator), plugins...)
}

// goBuild compiles for linux, statically, the way the Makefile does: Go's cache then holds each package once.
func goBuild(ctx context.Context, dir, arch, variables, output string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-ldflags=-s -w " + variables, "-o", output}, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %v for %s: %w", packages, arch, err)
	}
	return nil
}

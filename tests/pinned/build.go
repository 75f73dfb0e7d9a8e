// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package pinned

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// progressEvery is how often a build that lasts says that it still runs.
const progressEvery = 15 * time.Second

// Build returns the folder that holds the named programs of the module, all of them when none is named, after building
// those that are missing. It reports to progress only what takes time; progress may be nil.
func (m Module) Build(ctx context.Context, progress io.Writer, names ...string) (string, error) {
	if progress == nil {
		progress = io.Discard
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, m.Dir)
	folder, err := m.folder(dir)
	if err != nil {
		return "", err
	}
	missing, err := m.missing(folder, names)
	if err != nil || len(missing) == 0 {
		return folder, err
	}

	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for built programs: %w", err)
	}
	release, err := lock(ctx, folder+".lock", func() {
		fmt.Fprintf(progress, "waiting for another process that builds from %s …\n", m.Dir)
	})
	if err != nil {
		return "", err
	}
	defer release()

	// Whoever held the lock may have built some of them.
	missing, err = m.missing(folder, names)
	if err != nil {
		return "", err
	}
	for _, program := range missing {
		if err := program.build(ctx, progress, dir, folder); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// missing returns those of the named programs, of all when none is named, that are not in the folder.
func (m Module) missing(folder string, names []string) ([]Program, error) {
	if len(names) == 0 {
		for _, program := range m.Programs {
			names = append(names, program.Name)
		}
	}
	var missing []Program
	for _, name := range names {
		program, err := m.program(name)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			missing = append(missing, program)
		}
	}
	return missing, nil
}

// build compiles one program of the module in dir into folder. The caller holds the folder's lock.
func (p Program) build(ctx context.Context, progress io.Writer, dir, folder string) error {
	building := filepath.Join(folder, ".building") // may be left behind by a process that was killed
	if err := os.RemoveAll(building); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	defer os.RemoveAll(building)

	start, output := time.Now(), filepath.Join(building, p.Name)
	fmt.Fprintf(progress, "building %s %s (%s, once) …\n", p.Name, p.Version, about(p.Takes))
	messages, err := runWithProgress(p.command(ctx, dir, output), func(elapsed time.Duration) {
		fmt.Fprintf(progress, "building %s: %s\n", p.Name, elapsed)
	})
	if err != nil {
		return fmt.Errorf("build %s from %s: %w\n%s", p.Name, p.Package, err, messages)
	}
	if err := os.Rename(output, filepath.Join(folder, p.Name)); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	fmt.Fprintf(progress, "built %s in %s\n", p.Name, time.Since(start).Round(time.Second))
	return nil
}

// command returns the command that compiles the program into output.
func (p Program) command(ctx context.Context, dir, output string) *exec.Cmd {
	args := append([]string{"build"}, buildFlags()...)
	linker := []string{"-s", "-w"}
	for _, v := range p.Vars {
		linker = append(linker, "-X", v)
	}
	if p.CGO {
		linker = append(linker, "-linkmode", "external", "-extldflags", "-static")
	}
	args = append(args, "-ldflags="+strings.Join(linker, " "), "-tags="+strings.Join(p.Tags, ","), "-o", output, p.Package)

	cgo := "CGO_ENABLED=0"
	if p.CGO {
		cgo = "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// The caller's own flags, workspace and target must not leak into programs that are shared by all callers.
	cmd.Env = append(os.Environ(), cgo, "GOFLAGS=-mod=readonly", "GOWORK=off", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	return cmd
}

// buildFlags are the flags that all programs are built with, apart from the linker's.
func buildFlags() []string { return []string{"-trimpath", "-buildvcs=false"} }

// runWithProgress runs the command, calls tick now and then while it runs, and returns its output.
func runWithProgress(cmd *exec.Cmd, tick func(elapsed time.Duration)) ([]byte, error) {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output

	start, done := time.Now(), make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				tick(time.Since(start).Round(time.Second))
			}
		}
	})
	err := cmd.Run()
	close(done)
	ticking.Wait()
	return output.Bytes(), err
}

// about says a duration as people do.
func about(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	minutes := int(d.Round(time.Minute) / time.Minute)
	if minutes == 1 {
		return "about a minute"
	}
	return fmt.Sprintf("about %d minutes", minutes)
}

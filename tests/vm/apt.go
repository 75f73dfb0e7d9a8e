// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// apt is the package manager of the machine that the tests run on, with the sources that it is configured for.
type apt struct {
	progress io.Writer
	updated  bool // whether this run has fetched the package lists
}

// Install installs those of the named Debian packages that are missing. Progress, which may be nil, hears about that and
// nothing else.
func Install(ctx context.Context, progress io.Writer, packages ...string) error {
	if progress == nil {
		progress = io.Discard
	}
	var missing []string
	for _, name := range packages {
		status, err := output(ctx, "", "dpkg-query", "--show", "--showformat=${db:Status-Status}", name)
		if err != nil || string(status) != "installed" {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return (&apt{progress: progress}).install(ctx, missing...)
}

// install installs packages with what they need and nothing more.
func (a *apt) install(ctx context.Context, packages ...string) error {
	if err := a.require(packages...); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("test machines need packages that only root can install: run apt-get install --no-install-recommends %s, then try again",
			strings.Join(packages, " "))
	}
	fmt.Fprintf(a.progress, "installing %s (about half a minute, once) …\n", strings.Join(packages, ", "))
	return a.withFreshLists(ctx, func() error {
		args := append([]string{"install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"}, packages...)
		_, err := output(ctx, "", "apt-get", args...)
		return err
	})
}

// download fetches the package file of a package, which may be "name=version", into the folder and returns its path.
func (a *apt) download(ctx context.Context, folder, name string) (string, error) {
	if err := a.require(name); err != nil {
		return "", err
	}
	fmt.Fprintf(a.progress, "downloading %s …\n", name)
	err := a.withFreshLists(ctx, func() error {
		_, err := output(ctx, folder, "apt-get", "download", "-o", "APT::Sandbox::User=root", name)
		return err
	})
	if err != nil {
		return "", err
	}
	base, _, _ := strings.Cut(name, "=")
	files, err := filepath.Glob(filepath.Join(folder, base+"_*.deb"))
	if err != nil || len(files) != 1 {
		return "", fmt.Errorf("download %s: found the files %q, want one", name, files)
	}
	return files[0], nil
}

// kernel returns name and version of the package that the distribution's newest kernel of the stable kind is in.
func (a *apt) kernel(ctx context.Context) (name, version string, err error) {
	const meta = "linux-image-amd64"
	if err := a.require(meta); err != nil {
		return "", "", err
	}
	depends := regexp.MustCompile(`\b(linux-image-[0-9][^ ]*-amd64) \(= ([^)]+)\)`)
	err = a.withFreshLists(ctx, func() error {
		text, err := output(ctx, "", "apt-cache", "show", "--no-all-versions", meta)
		if err != nil {
			return err
		}
		match := depends.FindStringSubmatch(string(text))
		if match == nil {
			return fmt.Errorf("package %s names no kernel it depends on:\n%s", meta, text)
		}
		name, version = match[1], match[2]
		return nil
	})
	return name, version, err
}

// require says what is missing where there is no apt.
func (a *apt) require(packages ...string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("test machines need what is in Debian's packages %s, and this system has no apt-get: use Debian, or a container of it",
			strings.Join(packages, ", "))
	}
	return nil
}

// withFreshLists tries again with new package lists, once: on a fresh system there are none, and old ones name versions
// which the archive has dropped.
func (a *apt) withFreshLists(ctx context.Context, do func() error) error {
	err := do()
	if err == nil || a.updated || ctx.Err() != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w\nif the package lists are old, run apt-get update as root", err)
	}
	fmt.Fprintln(a.progress, "updating the package lists …")
	if _, err := output(ctx, "", "apt-get", "update", "-o", "DPkg::Lock::Timeout=600"); err != nil {
		return err
	}
	a.updated = true
	return do()
}

// output runs a program in the folder and returns what it prints; an error carries what it complained of.
func output(ctx context.Context, folder, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(cause, err)
		}
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout, nil
}

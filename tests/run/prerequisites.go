// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// prerequisites are the programs that tests run besides Go, and the Debian packages that hold them.
func prerequisites() map[string]string {
	return map[string]string{
		"git":     "git",
		"setpriv": "util-linux",
	}
}

// installMissing installs the packages of programs that are not there, which takes root and Debian; elsewhere it says
// what to install.
func installMissing(ctx context.Context, w io.Writer) error {
	var missing []string
	for program, pkg := range prerequisites() {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("install these packages, or run as root on Debian: %s", strings.Join(missing, " "))
	}
	if err := runCommand(ctx, w, "apt-get", "update", "-q"); err != nil {
		return err
	}
	args := []string{"DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends"}
	return runCommand(ctx, w, "env", append(args, missing...)...)
}

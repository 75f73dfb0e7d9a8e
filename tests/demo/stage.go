// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// stage is what the demo plays on.
type stage struct {
	ready string // what is there
	steps []step
	// traffic gives the last steps, where there are pods; nil where there are none.
	traffic func(ctx context.Context, s *stage) ([]step, error)

	binaries string // folder of kubectl
	env      []string
	closers  []func() error // the last first
}

// step is one command of the demo.
type step struct {
	says    string
	command string
}

// setEnvironment gives the stage what a user's shell would have: the plugin on the PATH, a kubeconfig, AWS credentials.
// The demo's own settings for AWS and Kubernetes are not passed on.
func (s *stage) setEnvironment(kubeconfig, ec2 string) error {
	build, err := filepath.Abs("build")
	if err != nil {
		return err
	}
	s.env = []string{
		"PATH=" + build + string(os.PathListSeparator) + s.binaries + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + filepath.Dir(kubeconfig),
		"KUBECONFIG=" + kubeconfig,
		"AWS_ENDPOINT_URL=" + ec2,
		"AWS_ACCESS_KEY_ID=demo",
		"AWS_SECRET_ACCESS_KEY=demo",
		"AWS_EC2_METADATA_DISABLED=true",
	}
	for _, name := range []string{"TERM", "LANG", "LC_ALL", "COLUMNS", "NO_COLOR"} {
		if value, ok := os.LookupEnv(name); ok {
			s.env = append(s.env, name+"="+value)
		}
	}
	return nil
}

// shell runs a command line of the demo with the stage's environment.
func (s *stage) shell(ctx context.Context, out io.Writer, line string) error {
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, filepath.Join(s.binaries, words[0]), words[1:]...)
	cmd.Env = s.env
	cmd.Stdout, cmd.Stderr = out, out
	return cmd.Run()
}

// close stops and removes everything.
func (s *stage) close() error {
	var errs []error
	for _, end := range slices.Backward(s.closers) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}

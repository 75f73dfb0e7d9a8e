// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package plugin_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
	"github.com/underlay-dev/kubectl-underlay/internal/cloud/aws"
	"github.com/underlay-dev/kubectl-underlay/plugin"
	"github.com/underlay-dev/kubectl-underlay/tests/controlplane"
	"github.com/underlay-dev/kubectl-underlay/tests/goldenfile"
)

// update rewrites the golden files: go test ./plugin -update
var update = flag.Bool("update", false, "rewrite the golden files")

// plane is the API server that the tests of this package share.
var plane = controlplane.Shared{Options: controlplane.Options{CRDs: [][]byte{controlplane.MultusCRD()}}}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := shutOut(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	log.SetLogger(logr.Discard()) // as main does
	os.Exit(plane.Main(m))
}

// shutOut keeps the credentials and clusters of whoever runs the tests away from them.
func shutOut() error {
	var errs []error
	for _, name := range []string{
		"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2",
	} {
		errs = append(errs, os.Unsetenv(name))
	}
	for _, name := range []string{"KUBECONFIG", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		errs = append(errs, os.Setenv(name, "/nonexistent"))
	}
	return errors.Join(append(errs, os.Setenv("AWS_EC2_METADATA_DISABLED", "true"))...)
}

// result is what a command did.
type result struct {
	stdout, stderr string
	code           int
}

// shell runs the plugin in this process.
type shell struct {
	stdin   string
	columns string
}

func (s shell) run(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := plugin.Execute(ctx, plugin.Environment{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(s.stdin), Out: &stdout, ErrOut: &stderr},
		Version:   plugin.Version{Version: "v0.0.0-test", Commit: "abc", Go: "go1", Platform: "linux/amd64"},
		NewProvider: func(a plugin.Account) cloud.Provider {
			return aws.New(aws.Options{Region: a.Region, RoleARN: a.RoleARN})
		},
		Getenv: func(name string) string {
			if name == "COLUMNS" {
				return s.columns
			}
			return map[string]string{"LANG": "C.UTF-8", "TERM": "xterm-256color"}[name]
		},
	}, args)
	return result{stdout.String(), stderr.String(), code}
}

// run runs one command line, such as "pools --inventory FILE", at unlimited width.
func run(t *testing.T, line string) result {
	t.Helper()
	return shell{}.run(t.Context(), strings.Fields(line)...)
}

// must runs a command line that has to end with the code.
func must(t *testing.T, code int, line string) result {
	t.Helper()
	r := run(t, line)
	if r.code != code {
		t.Fatalf("%s: exit code %d, want %d\nstdout:\n%s\nstderr:\n%s", line, r.code, code, r.stdout, r.stderr)
	}
	return r
}

// golden compares what a command printed, and its exit code, with testdata/<name>.golden.
func golden(t *testing.T, name string, got string) {
	t.Helper()
	goldenfile.Compare(t, filepath.Join("testdata", name+".golden"), got, *update)
}

// contains checks for pieces of text.
func contains(t *testing.T, text string, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !strings.Contains(text, piece) {
			t.Errorf("%q is missing in:\n%s", piece, text)
		}
	}
}

// write puts text into a file of the test's own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

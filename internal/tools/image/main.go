// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

// Command image builds the image that operator and agents run from, without a daemon, a registry or a base image: what it
// holds is static. "make image" runs it.
//
// For one architecture it writes the archive underlay.tar, which `ctr -n k8s.io images import`, `docker load` and `crane
// push` take. For several it writes one such archive each, and the folder "index", an OCI layout of all of them which
// `crane push --index` publishes under one tag.
//
// The same source, version and date give the same bytes. Where nothing has changed, nothing is written.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// build says what to build, and where.
type build struct {
	root    string // of the repository
	out     string // folder for what is written
	name    string // repository and tag
	version string
	commit  string
	date    string // of the commit
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var b build
	flag.StringVar(&b.root, "root", "../../..", "the repository")
	flag.StringVar(&b.out, "out", "../../../build/image", "folder to write to")
	flag.StringVar(&b.version, "version", "", "version of the programs, and the image's tag")
	flag.StringVar(&b.commit, "commit", "", "commit that is built")
	flag.StringVar(&b.date, "date", "", "the commit's time (RFC 3339)")
	repository := flag.String("repository", "ghcr.io/underlay-dev/kubectl-underlay", "the image's name, without a tag")
	arches := flag.String("arch", "amd64", "architectures, separated by spaces")
	flag.Parse()
	if b.version == "" || *arches == "" {
		return errors.New("-version and -arch must say something")
	}
	b.name = *repository + ":" + b.version
	out, err := filepath.Abs(b.out)
	if err != nil {
		return err
	}
	b.out = out
	return b.run(ctx, strings.Fields(*arches))
}

// run builds the image for each architecture, and writes what is not current.
func (b build) run(ctx context.Context, arches []string) error {
	programs, err := b.programs()
	if err != nil {
		return err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range arches {
		folder := filepath.Join(b.out, "programs", arch)
		if err := b.compile(ctx, arch, programs, folder); err != nil {
			return err
		}
		files, err := content(programs, folder)
		if err != nil {
			return err
		}
		archive := filepath.Join(b.out, "underlay.tar")
		if len(arches) > 1 {
			archive = filepath.Join(b.out, fmt.Sprintf("underlay_%s_linux_%s.tar", b.version, arch))
		}
		image, err := b.image(arch, files)
		if err != nil {
			return err
		}
		if err := b.archive(archive, image); err != nil {
			return err
		}
		platform := &v1.Platform{OS: "linux", Architecture: arch}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	if len(arches) == 1 {
		return nil
	}
	folder := filepath.Join(b.out, "index")
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if _, err := layout.Write(folder, index); err != nil {
		return fmt.Errorf("write %s: %w", folder, err)
	}
	fmt.Fprintf(os.Stderr, "%s: %s for %s\n", folder, b.name, strings.Join(arches, " and "))
	return nil
}

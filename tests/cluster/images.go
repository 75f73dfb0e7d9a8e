// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/underlay-dev/kubectl-underlay/tests/cluster/image"
	"github.com/underlay-dev/kubectl-underlay/tests/pinned"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Images that every node has. A pod that uses them needs the pull policy IfNotPresent or Never.
const (
	// PauseImage holds each pod's namespaces.
	PauseImage = "underlay.test/pause:1"
	// TestAppImage is tests/cluster/testapp: by default a web server, with commands that probe the network.
	TestAppImage = "underlay.test/testapp:1"
)

// buildImages makes an archive of our own images.
func (c *Cluster) buildImages(ctx context.Context) (name string, err error) {
	root, err := pinned.Root()
	if err != nil {
		return "", err
	}
	var images []image.Image
	for program, reference := range map[string]string{"pause": PauseImage, "testapp": TestAppImage} {
		path := c.scratch.Path(program)
		if err := vm.Compile(ctx, root, "build", "-ldflags=-s -w", "-o", path, "./tests/cluster/"+program); err != nil {
			return "", err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		images = append(images, image.Image{
			Name:       reference,
			Files:      []image.File{{Path: "/" + program, Mode: 0o755, Content: content}},
			Entrypoint: []string{"/" + program},
		})
	}
	archive := c.scratch.Path("own.tar")
	if err := image.WriteFile(archive, images...); err != nil {
		return "", err
	}
	return c.inbox.add(archive)
}

// LoadImage loads the images of an archive (as docker save writes it, or an OCI layout) into every node.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	name, err := c.inbox.add(archive)
	if err != nil {
		return fmt.Errorf("load image %s: %w", archive, err)
	}
	errs := make([]error, len(c.nodes))
	var loading sync.WaitGroup
	for i, node := range c.nodes {
		loading.Go(func() { errs[i] = node.importImages(ctx, name) })
	}
	loading.Wait()
	return errors.Join(append(errs, c.inbox.remove(name))...)
}

func (n *Node) importImages(ctx context.Context, name string) error {
	if out, err := n.Shell(ctx, "ctr --connect-timeout=60s --namespace=k8s.io images import "+guestInbox+"/"+name); err != nil {
		return fmt.Errorf("load images into node %s: %w\n%s", n.Name, err, out)
	}
	return nil
}

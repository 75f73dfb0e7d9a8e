// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
)

// inbox is the folder by which files get into running nodes.
type inbox struct {
	host string
	mu   sync.Mutex
	last int
}

// add puts a copy of the file into the folder, under a name that no node has looked for yet: nodes keep in mind what they
// found of a shared folder, and what not.
func (i *inbox) add(file string) (name string, err error) {
	i.mu.Lock()
	i.last++
	name = fmt.Sprint(i.last)
	i.mu.Unlock()
	return name, copyFile(file, filepath.Join(i.host, name))
}

func (i *inbox) remove(name string) error { return os.Remove(filepath.Join(i.host, name)) }

// Copy copies a file of this machine to a path on the node, whose folder is made if need be. Permissions are kept; the file
// appears at once, with all its content.
func (n *Node) Copy(ctx context.Context, from, to string) (err error) {
	name, err := n.inbox.add(from)
	if err == nil {
		defer func() {
			if removed := n.inbox.remove(name); err == nil {
				err = removed
			}
		}()
		var out string
		out, err = n.Shell(ctx, fmt.Sprintf("mkdir -p %q && cp -p %s/%s %q && mv -f %q %q", path.Dir(to), guestInbox, name, to+".new", to+".new", to))
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s on node %s: %w", from, to, n.Name, err)
	}
	return nil
}

// WriteFile writes a file on the node, as Copy does.
func (n *Node) WriteFile(ctx context.Context, to string, content []byte, mode fs.FileMode) error {
	file, err := os.CreateTemp("", "for-node-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	return n.Copy(ctx, file.Name(), to)
}

// InstallPlugins builds CNI plugins of Programs and copies them into every node. A CNI configuration is up to the caller.
func (c *Cluster) InstallPlugins(ctx context.Context, names ...string) error {
	folder, err := Programs().Build(ctx, c.progress.to, names...)
	if err != nil {
		return err
	}
	for _, node := range c.nodes {
		for _, name := range names {
			if err := node.Copy(ctx, filepath.Join(folder, name), "/opt/cni/bin/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

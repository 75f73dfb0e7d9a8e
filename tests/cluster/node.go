// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/underlay-dev/kubectl-underlay/api/v1alpha1"
	"github.com/underlay-dev/kubectl-underlay/tests/vm"
)

// Folders of this machine in the guest.
const (
	guestTools      = "/opt/tools"
	guestRuntime    = "/opt/runtime"
	guestKubernetes = "/opt/kubernetes"
	guestFiles      = "/opt/node"
	guestInbox      = "/opt/inbox"
)

// Node is a virtual machine with a kubelet.
type Node struct {
	Name string

	spec  v1alpha1.Node
	inbox *inbox
	logs  string // folder: kernel.log, containerd.log, …
	nics  []vm.NIC
	boot  func(ctx context.Context) error // the machine and its daemons; set once all is there that it needs
	vm    *vm.VM
	disk  bool
	boots int // besides the first

	life    context.Context //nolint:containedctx // of the daemons, which outlive every call
	kill    context.CancelCauseFunc
	daemons sync.WaitGroup
}

// newNode makes a node's ENIs.
func (c *Cluster) newNode(spec v1alpha1.Node) (*Node, error) {
	n := &Node{Name: spec.Name, spec: spec, inbox: c.inbox, logs: c.scratch.Path("logs", spec.Name)}
	n.life, n.kill = context.WithCancelCause(context.Background())
	if err := os.Mkdir(n.logs, 0o755); err != nil {
		return nil, err
	}
	var err error
	n.nics, err = c.wires.attach(spec)
	return n, err
}

// bootNodes boots all nodes at the same time, loads the images that pods need, and starts the kubelets.
func (c *Cluster) bootNodes(ctx context.Context) error {
	kit, err := vm.Setup(ctx, c.progress.to)
	if err != nil {
		return err
	}
	tools := c.scratch.Path("tools")
	if err := collectTools(ctx, tools); err != nil {
		return err
	}
	own, err := c.buildImages(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(c.nodes))
	var booting sync.WaitGroup
	for i, n := range c.nodes {
		booting.Go(func() {
			if errs[i] = c.firstBoot(ctx, kit, n, tools, own); errs[i] != nil {
				errs[i] = fmt.Errorf("node %s: %w", n.Name, errs[i])
			}
		})
	}
	booting.Wait()
	return errors.Join(errs...)
}

// firstBoot boots a node, and gives it the images that pods need.
func (c *Cluster) firstBoot(ctx context.Context, kit vm.Kit, n *Node, tools, images string) error {
	files := c.scratch.Path("files", n.Name)
	if err := c.writeNodeFiles(n, files); err != nil {
		return err
	}
	config := vm.Config{
		MemoryMiB: c.options.MemoryMiB,
		NICs:      n.nics,
		KernelLog: n.KernelLog(),
		Shares: []vm.Share{
			{Host: tools, Guest: guestTools},
			{Host: c.programs.runtime, Guest: guestRuntime},
			{Host: c.programs.kubernetes, Guest: guestKubernetes},
			{Host: files, Guest: guestFiles},
			{Host: c.inbox.host, Guest: guestInbox},
		},
	}
	if n.disk = c.options.Disks; n.disk {
		config.Disk = c.scratch.Path("disks", n.Name)
		if err := makeDisk(ctx, config.Disk); err != nil {
			return err
		}
	}
	n.boot = func(ctx context.Context) error { return n.bootMachine(ctx, kit, config) }
	if err := n.boot(ctx); err != nil {
		return err
	}
	c.progress.done(n.Name + " booted")
	if err := n.importImages(ctx, images); err != nil {
		return err
	}
	c.progress.done(n.Name + " has containerd and images")
	return nil
}

// bootMachine boots a node's machine and starts its daemons.
func (n *Node) bootMachine(ctx context.Context, kit vm.Kit, config vm.Config) error {
	var err error
	if n.vm, err = vm.Boot(ctx, kit, config); err != nil {
		return err
	}
	if out, err := n.Shell(ctx, "/bin/busybox sh "+guestFiles+"/prepare.sh"); err != nil {
		return fmt.Errorf("prepare: %w\n%s", err, out)
	}
	n.daemon("containerd", "--config="+guestFiles+"/containerd.toml", "--log-level=info")
	if _, err := n.Shell(ctx, "until [ -S /run/containerd/containerd.sock ]; do sleep 0.1; done"); err != nil {
		return fmt.Errorf("wait for containerd: %w%s", err, tail(filepath.Join(n.logs, "containerd.log")))
	}
	n.daemon("kubelet", n.kubeletArgs()...)
	n.daemon("kube-proxy", "--config="+guestFiles+"/kube-proxy.yaml")
	return nil
}

// daemon runs a program of the node until the node ends; what it prints goes to its log.
func (n *Node) daemon(name string, args ...string) {
	n.daemons.Go(func() {
		log, err := os.OpenFile(filepath.Join(n.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			n.kill(err)
			return
		}
		defer log.Close()
		err = n.vm.Run(n.life, vm.Command{Args: append([]string{name}, args...), Output: log})
		fmt.Fprintf(log, "%s has ended: %v\n", name, err)
	})
}

// Run runs a program on the node to its end; see vm.VM.Run.
func (n *Node) Run(ctx context.Context, command vm.Command) error {
	if n.vm == nil {
		return fmt.Errorf("node %s does not run", n.Name)
	}
	return n.vm.Run(ctx, command)
}

// Shell runs a script of busybox's shell on the node and returns all that it printed.
func (n *Node) Shell(ctx context.Context, script string) (string, error) {
	var out bytes.Buffer
	err := n.Run(ctx, vm.Command{Args: []string{"sh", "-c", script}, Output: &out})
	return out.String(), err
}

// KernelLog is the path of the node's console.
func (n *Node) KernelLog() string { return filepath.Join(n.logs, "kernel.log") }

func (n *Node) close() error {
	n.kill(errors.New("the cluster was closed"))
	var err error
	if n.vm != nil {
		err = n.vm.Close()
	}
	n.daemons.Wait()
	for _, nic := range n.nics {
		err = errors.Join(err, nic.Tap.Close())
	}
	return err
}
